// Files with secrets in them: keys that sign and keys of tokens.
//
// ERRORS. FailedPrecondition (exit 78) names the file and how to mend it: missing, not a regular
// file, open to everybody, writable by its group, too large. Thread: any.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace sluice::tools {

// Fills `contents`, which the caller wipes, without leaving a copy elsewhere. `harm`: what whoever
// has read it can do; `mend`: what to do when it is not there.
Status read_private_file(const std::string& path, std::string_view harm, std::string_view mend,
                         std::string& contents);

// Makes a new file of mode 0600, whole and on the disk when it returns; never overwrites one.
// AlreadyExists when there is one, PermissionDenied (exit 73) where it cannot be made.
Status write_private_file(const std::string& path, const std::string& contents);

}  // namespace sluice::tools
