// Internationalised domain names: U-labels to A-labels (RFC 5891 by way of UTS 46, processed
// non-transitionally). The one wrapper of libidn2. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Appends `domain` (UTF-8, not empty) as lower-case A-labels to `out`. Null when that went well;
// otherwise a literal that says why not, and `out` is as it was. Length and letters of the result
// are the caller's to check.
const char* append_a_labels(std::string_view domain, std::string& out);

}  // namespace sluice
