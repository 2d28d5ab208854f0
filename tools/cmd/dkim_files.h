// Private DKIM keys on disk: reading those of [[dkim]], writing a new one.
//
// ERRORS. FailedPrecondition (exit 78) names the file and how to mend it: missing, not a regular
// file, open to everybody, writable by its group, no key. What was read is wiped.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/compose/dkim_key.h"
#include "engine/model/configuration.h"

namespace sluice::tools {

// Null when there are no entries.
StatusOr<std::shared_ptr<const DkimKeys>> load_dkim_keys(const std::vector<DkimEntry>& entries);

// Makes a new file of mode 0600; never overwrites one.
Status write_dkim_key(const std::string& path, const std::string& pem);

}  // namespace sluice::tools
