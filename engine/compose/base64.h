// Base64 (RFC 4648 §4, RFC 2045 §6.8). Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

// Appends the encoding of `octets` in one line.
void append_base64(std::string& out, std::string_view octets);
// The same in lines of 76 that each end in CRLF.
void append_base64_lines(std::string& out, std::string_view octets);
// How many octets append_base64_lines() makes of so many.
size_t base64_lines_length(size_t octets);

}  // namespace sluice
