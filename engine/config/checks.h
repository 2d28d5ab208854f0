// What a text must look like to be a name, a host, a path inside a folder. Pure; any thread.
#pragma once

#include <string_view>

namespace sluice::config {

// A control character (below U+0020, or U+007F): never in a header, an envelope, a path, a log.
bool has_control(std::string_view text);

// Labels of letters, digits and inner hyphens joined by dots, no dot at the end, at most 253
// octets, the last label not all digits (RFC 5321 §4.1.2 Domain, RFC 1123 §2.1).
bool is_host_name(std::string_view text);

// What may follow EHLO: a host name, "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3).
bool is_hello(std::string_view text);

// A DKIM selector (RFC 6376 §3.1): at most 63 letters, digits, "-", "_" and inner dots.
bool is_selector(std::string_view text);

// A file name that stays inside the folder it is relative to: no "/" at either end, no "..".
bool is_inside_path(std::string_view path);

}  // namespace sluice::config
