// Closures sent to a shard by other threads.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "engine/ring/io.h"

namespace sluice {

// Many writers, one reader: a lock-free stack of nodes that the reader takes whole and reverses
// (Treiber 1986; taking all at once has no ABA). Order is kept per writer. post() wakes the
// reader's Io when the mailbox was empty. At the limit post() returns false and the closure is
// not taken. What is still inside at the end is destroyed unrun.
class Mailbox {
 public:
  using Message = absl::AnyInvocable<void()>;

  // `io` is the reader's; it must outlive every post().
  Mailbox(Io& io, uint32_t entries_max) : io_(io), entries_max_(entries_max) {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox();

  // Any thread.
  [[nodiscard]] bool post(Message message);
  // Runs what was posted; the reader's thread only. Returns how many ran.
  uint32_t run_all();
  bool empty() const { return head_.load(std::memory_order_acquire) == nullptr; }

 private:
  struct Node;
  Io& io_;
  const uint32_t entries_max_;
  std::atomic<Node*> head_{nullptr};
  std::atomic<uint32_t> count_{0};
};

}  // namespace sluice
