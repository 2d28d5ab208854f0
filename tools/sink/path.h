// The syntax that the receiver reads: paths of MAIL and RCPT, header fields of content. Pure.
#pragma once

#include <string>
#include <string_view>

namespace sluice::sink {

// "FROM:<a@b> SIZE=1" in pieces; views into the line.
struct Path {
  bool ok = false;
  std::string_view address;  // without brackets and source route; empty for <>
  std::string_view parameters;
};

// `prefix` is "FROM:" or "TO:", any case; blanks may follow it (RFC 5321 §4.1.2, generous there).
// Quoted local parts may hold anything printable; at most 320 octets; an address that is not empty
// has a domain, unless it is "postmaster".
Path parse_path(std::string_view arguments, std::string_view prefix);

// Finds the first field `name` (any case) among the header fields that `content` begins with, and
// puts its value, unfolded and trimmed, into `value`. False when there is none.
bool find_header_field(std::string_view content, std::string_view name, std::string& value);

}  // namespace sluice::sink
