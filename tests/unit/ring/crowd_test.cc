#include "engine/ring/crowd.h"

#include <gtest/gtest.h>

#include "engine/ring/gate.h"
#include "engine/ring/uring_io.h"

namespace sluice {
namespace {

Task<> wait_and_count(Crowd& crowd, int& woken) {
  Task<> waiting = crowd.wait();
  crowd.notify_one();  // before the task's first step
  co_await std::move(waiting);
  ++woken;
}

Task<> await_end(Gate& gate, bool& ended) {
  Task<> closing = gate.close();
  co_await std::move(closing);
  ended = true;
}

TEST(Crowd, ANotificationBetweenTheCallAndTheWaitIsNotLost) {
  auto io = UringIo::create({.operations_max = 16});
  ASSERT_TRUE(io.ok()) << io.status();
  Loop loop(**io, {.frame_bytes_max = 1UL << 20, .mailbox_entries = 16});
  Crowd crowd(loop);
  Gate gate;
  Gate ending;
  int woken = 0;
  bool ended = false;
  {
    const Executor::Scope scope(loop.executor());
    gate.spawn(wait_and_count(crowd, woken));
    ending.spawn(await_end(gate, ended));
  }
  const Instant deadline = loop.now() + std::chrono::seconds(2);
  while (!ended && loop.now() < deadline) loop.turn(deadline);
  EXPECT_EQ(woken, 1);
  while (ending.inside_count() > 0) loop.turn(loop.now());  // lets the frame go
}

}  // namespace
}  // namespace sluice
