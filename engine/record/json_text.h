// Text of strangers as a JSON string (RFC 8259 §7).
//
// Pure; any thread. Whatever the octets are, the result is valid JSON in valid UTF-8 without a line
// end: well-formed UTF-8 stays, control characters are escaped, every other octet becomes the code
// point of its number (\u00e9 for E9).
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Appends `octets` with quotes around.
void append_json_text(std::string& out, std::string_view octets);

}  // namespace sluice
