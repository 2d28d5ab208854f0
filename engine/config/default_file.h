// Configuration -> sluice.toml: the file that `sluice init` writes.
//
// The inverse of parse_configuration: what it writes is read back to the same values, and a new
// key is added in both places.
//
// OWNERSHIP  The text is the caller's. THREAD  Any; pure. ERRORS  None.
//
// LIMITS  Values must be such as parse_configuration gives: no control characters in names.
//
// BUGS  Shaping rules are not written: they live in files of their own, whose names a
// Configuration does not keep, so [shaping] files is always empty.
#pragma once

#include <string>

#include "engine/model/configuration.h"

namespace sluice {

// A commented sluice.toml with the values of `configuration`. Every key that is built stands in
// it with a line that says what it is for.
std::string configuration_text(const Configuration& configuration = {});

}  // namespace sluice
