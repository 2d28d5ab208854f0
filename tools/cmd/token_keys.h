// The keys of tokens on disk: [verp] key and [unsubscribe] key, or verp.key and unsubscribe.key in
// the spool, which the program makes when it starts.
//
// ERRORS. FailedPrecondition (exit 78) names the file and how to mend it. Thread: any.
#pragma once

#include <string>

#include "engine/base/status.h"
#include "engine/compose/token.h"
#include "engine/model/configuration.h"

namespace sluice::tools {

enum class MissingKeys : bool { kRefuse, kMake };

// `missing`: what becomes of keys of the spool that are not there; those that the configuration
// names are never made.
StatusOr<TokenKeysPtr> load_token_keys(const Configuration& config, MissingKeys missing);

}  // namespace sluice::tools
