// Attachments: what their headers say (RFC 2045, 2183, 2231, 2392). Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// The last part of a path: the name that the recipient sees.
std::string_view file_name_of(std::string_view path);
// The media type by the extension of a file's name, case aside; application/octet-stream for those
// that are not in the table. Text that is UTF-8 has a charset.
std::string content_type_of(std::string_view file_name, std::string_view contents);
// "Content-Disposition: DISPOSITION; filename=..." with its CRLF; a name that is no plain ASCII is
// percent-encoded in pieces that lines hold (RFC 2231).
std::string disposition_header(std::string_view disposition, std::string_view file_name);
// True when a Content-ID and a URL "cid:NAME" can hold the name as it is.
bool is_content_id(std::string_view file_name);
// Where "cid:" + `file_name` stands in `html`, npos: nowhere.
size_t find_content_id(std::string_view html, std::string_view file_name);

}  // namespace sluice
