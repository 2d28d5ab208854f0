// MessageBuffer: one finished message, as pieces ready for sendmsg.
//
// Purpose: holds what MessageTemplate::compose() made for one row. A piece points either at the
// template's own memory (constant parts, never copied when they are long) or at the buffer's
// arena (what differs from row to row).
// Ownership: the caller owns the buffer and keeps it, and the template, alive and unchanged until
// the last byte is with the kernel. It does not point into the row: the row may go at once.
// Thread: one shard's; not shared.
// Memory: the arena grows in chunks that never move. clear() keeps up to kKeptBytes of them, so
// that composing allocates nothing in steady state, and gives the rest back.
// Limits: `message_bytes_max` of the constructor (Limits::message_bytes_max). Composition stops
// soon after it and refuses the row; the arena then holds at most that many octets and one value.
// BUGS: the number of pieces is bounded by twice the number of fields, not by IOV_MAX: a template
// with more than 500 fields needs several sendmsg calls.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"
#include "engine/model/limits.h"

namespace sluice {

class MessageBuffer {
 public:
  // What clear() keeps of the arena.
  static constexpr size_t kKeptBytes = 64UL << 10;

  explicit MessageBuffer(size_t message_bytes_max = Limits{}.message_bytes_max)
      : bytes_max_(message_bytes_max) {}
  MessageBuffer(const MessageBuffer&) = delete;
  MessageBuffer& operator=(const MessageBuffer&) = delete;

  // Forgets the message; all pieces given out before are invalid.
  void clear();
  // The message in order; valid until clear() or the next compose() into this buffer.
  std::span<const iovec> pieces() const { return pieces_; }
  // The sum of the pieces' lengths, octets.
  uint64_t bytes() const { return bytes_; }

  // --- For the compose room only ---

  bool over_limit() const { return bytes_ > bytes_max_; }
  // `count` octets of arena in one run; what is written there counts from commit() on.
  char* reserve(size_t count);
  // Appends the first `count` octets of the last reservation to the message.
  void commit(size_t count);
  // The same, in front of the message.
  void commit_in_front(size_t count);
  // Appends by copying.
  void append(std::string_view octets);
  // Appends memory that outlives the message; short ones are copied, which is cheaper than a
  // piece of its own.
  void append_constant(std::string_view octets);
  // "Sun, 22 Nov 2026 10:51:07 +0000" (RFC 5322 §3.3); formatted once a second.
  std::string_view date_text(WallTime date);
  // Work space for a header's text before it is encoded, and for its encoded form.
  std::string& scratch() { return scratch_; }
  std::string& header_scratch() { return header_scratch_; }

 private:
  struct Chunk {
    std::unique_ptr<char[]> octets;
    size_t size = 0;
  };
  void next_chunk(size_t least);
  void push_piece(const char* begin, size_t count);

  const size_t bytes_max_;
  uint64_t bytes_ = 0;
  std::vector<iovec> pieces_;
  std::vector<Chunk> chunks_;
  size_t chunk_ = 0;  // the one being filled
  size_t used_ = 0;   // of that one
  std::string scratch_;
  std::string header_scratch_;
  int64_t date_second_ = INT64_MIN;
  char date_[32] = {};
  size_t date_length_ = 0;
};

}  // namespace sluice
