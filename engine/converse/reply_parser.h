// SMTP replies out of a stream of octets (RFC 5321 §4.2, RFC 2034), cut anywhere.
//
// PURPOSE. Whatever the receiver sends goes in, in pieces of any size; whole replies come out, one
// at a time. The result does not depend on where the stream was cut.
//
// WHAT IS ACCEPTED. "ddd-text", "ddd text" and bare "ddd", 200 to 599, with the same code on every
// line; a bare LF ends a line too; NUL, bare CR and 8-bit octets are kept. An enhanced code at the
// beginning of a line's text is left out of Reply::text; Reply::enhanced is the last line's.
//
// ERRORS. Anything else, a line over ReplyLimits::line_bytes_max or a reply over reply_bytes_max
// is a protocol error: parse() says kError from then on, error() says why.
//
// LIMITS. Holds at most a line and a reply's text; buffers are reused, so that short replies cost
// no allocation, and given back after a long one.
//
// THREAD. One connection's; not thread-safe.
//
// BUGS. A banner or EHLO line whose text begins like an enhanced code loses that word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/model/limits.h"
#include "engine/model/reply.h"

namespace sluice {

struct ReplyLimits {
  // Octets of one line, its end not counted.
  size_t line_bytes_max = Limits{}.reply_line_bytes_max;
  // Octets of all lines of one reply, their ends not counted.
  size_t reply_bytes_max = Limits{}.reply_bytes_max;
};

class ReplyParser {
 public:
  enum class Status : uint8_t {
    kNeedMore,  // all of the input is used up, no reply is complete
    kReply,     // reply() holds one; the input begins behind it
    kError,     // no reply, and there will be none
  };

  explicit ReplyParser(const ReplyLimits& limits) : limits_(limits) {}

  // Reads from the front of `bytes` up to the end of one reply and removes what it has read.
  Status parse(std::string_view& bytes);

  // REQUIRES: the last parse() said kReply. Valid until the next parse().
  const Reply& reply() const { return reply_; }
  // What was wrong, a literal; empty when nothing was.
  std::string_view error() const { return error_; }

 private:
  Status line(std::string_view text);
  Status fail(std::string_view error);
  void begin_reply();

  const ReplyLimits limits_;
  Reply reply_;
  std::string partial_;      // a line whose end has not come yet
  size_t reply_bytes_ = 0;   // of the lines of the reply so far
  bool reply_ended_ = true;  // the next line begins a reply
  std::string_view error_;
};

// Takes an enhanced code (RFC 3463 §2: class 2, 4 or 5, subject and detail of one to three digits)
// and the space behind it from the front of `text`; leaves `text` alone when there is none.
EnhancedCode take_enhanced_code(std::string_view& text);

}  // namespace sluice
