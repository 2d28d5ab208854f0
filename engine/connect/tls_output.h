// What a TLS session has made for its peer and the socket has not taken yet.
//
// PURPOSE. One block of memory whose octets never move while they wait, so that the kernel may read
// them while the session goes on. Nothing of TLS is in it: for every TlsEngine.
// OWNERSHIP. Its memory; pending() points into it and is valid until sent().
// THREAD. One shard's.
// LIMITS. A block of TlsBlocks is held only while octets wait. append() takes kAppendMax at most of
// what nobody bounded before (an alert, the answer to a change of keys); what is bounded asks
// make_room() first.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Large blocks that no session has octets in: the few that were in use last serve all, so that
// they stay in the core's cache and their number is not that of the sessions.
class TlsBlocks {
 public:
  explicit TlsBlocks(size_t bytes) : bytes_(bytes) {}
  size_t bytes() const { return bytes_; }
  std::unique_ptr<char[]> take();
  void give(std::unique_ptr<char[]> block);

 private:
  static constexpr size_t kSpareMax = 16;
  const size_t bytes_;
  std::vector<std::unique_ptr<char[]>> spare_;
};

class TlsOutput {
 public:
  // Beyond what a block holds; a handshake's flight, at most some answers that the peer asked for.
  static constexpr size_t kAppendMax = 64UL << 10;

  // `bytes_max`: of the large block.
  explicit TlsOutput(size_t bytes_max) : bytes_max_(bytes_max) {}
  // With large blocks out of `blocks`, which outlives it.
  explicit TlsOutput(TlsBlocks& blocks) : bytes_max_(blocks.bytes()), blocks_(&blocks) {}

  std::string_view pending() const { return {block_.get() + begin_, end_ - begin_}; }
  // Nothing waits, not behind pending() either.
  bool empty() const { return begin_ == end_ && behind_.empty(); }
  // So many octets would be in pending() once appended. Takes the large block when `wanted` needs
  // it and the small one is empty.
  bool make_room(size_t wanted);
  // False, and nothing is taken, when too much waits already.
  bool append(std::string_view octets);
  // REQUIRES: octets <= pending().size().
  void sent(size_t octets);
  // Gives the memory back when nothing waits.
  void rest();

 private:
  static constexpr size_t kSmallBytes = 1'024;  // commands and a client's flights
  void take_block(size_t bytes);
  void give_block();

  const size_t bytes_max_;
  TlsBlocks* const blocks_ = nullptr;
  std::unique_ptr<char[]> block_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
  std::string behind_;  // what did not fit behind octets that must not move
};

}  // namespace sluice
