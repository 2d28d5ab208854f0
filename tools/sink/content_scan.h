// Finding the end of DATA content: CRLF "." CRLF (RFC 5321 §4.1.1.4), over any cut into pieces.
//
// Only that exact sequence ends content; a bare LF or CR around a dot does not (which keeps what
// is known as SMTP smuggling out). Pure; no allocation; one object a connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::sink {

class ContentScan {
 public:
  // The CRLF of the DATA line counts: "." CRLF at once is empty content.
  void begin() { matched_ = 2; }

  // Looks through the next piece. Returns how many of its octets belong to the content and its
  // terminator, and sets `ended`; without an end that is the whole piece.
  size_t feed(std::string_view piece, bool& ended);

 private:
  uint8_t matched_ = 0;  // octets of the terminator that the pieces so far end in
};

// Removes the dot that stands at the beginning of lines (RFC 5321 §4.5.2), in place, from whole
// content without its terminator. Returns the new length.
size_t remove_dot_stuffing(char* content, size_t length);

}  // namespace sluice::sink
