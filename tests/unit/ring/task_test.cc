#include "engine/ring/task.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/ring/gate.h"
#include "engine/ring/signal.h"

namespace sluice {
namespace {

class TaskTest : public ::testing::Test {
 protected:
  void run() {
    while (executor_.run_one()) {
    }
  }
  Executor executor_{1 << 20};
  Executor::Scope scope_{executor_};
};

Task<int> add_later(int a, int b) {
  co_await yield();
  co_return a + b;
}

Task<> store_sum(int& out) {
  const int first = co_await add_later(1, 2);
  const int second = co_await add_later(first, 10);
  out = second;
}

TEST_F(TaskTest, IsLazyAndReturnsValues) {
  int out = 0;
  Gate gate;
  { const Task<> dropped = store_sum(out); }
  run();
  EXPECT_EQ(out, 0);
  gate.spawn(store_sum(out));
  EXPECT_EQ(out, 0);
  run();
  EXPECT_EQ(out, 13);
  EXPECT_EQ(executor_.frames().frames_in_use(), 0U);
}

Task<int> ready(int value) { co_return value; }

Task<> count_to(int limit, int& out) {
  for (int i = 0; i < limit; ++i) {
    const int one = co_await ready(1);
    out += one;
  }
}

TEST_F(TaskTest, AMillionFinishedAwaitsNeedNoStack) {
  int out = 0;
  Gate gate;
  gate.spawn(count_to(1'000'000, out));
  run();
  EXPECT_EQ(out, 1'000'000);
}

Task<> wait_for(Signal& signal, std::string name, std::vector<std::string>& log) {
  co_await signal;
  log.push_back(name);
}

TEST_F(TaskTest, SignalsKeepTheOrderInWhichTheyCame) {
  Signal a;
  Signal b;
  std::vector<std::string> log;
  Gate gate;
  gate.spawn(wait_for(a, "a", log));
  gate.spawn(wait_for(b, "b", log));
  run();
  EXPECT_TRUE(log.empty());
  b.notify();
  a.notify();
  run();
  EXPECT_EQ(log, (std::vector<std::string>{"b", "a"}));
}

TEST_F(TaskTest, ASignalSetBeforeTheWaitDoesNotGetLost) {
  Signal a;
  std::vector<std::string> log;
  Gate gate;
  a.notify();
  a.notify();
  gate.spawn(wait_for(a, "once", log));
  run();
  EXPECT_EQ(log.size(), 1U);
  EXPECT_FALSE(a.is_set());
}

Task<> close_and_tell(Gate& gate, bool& closed) {
  co_await gate.close();
  closed = true;
}

TEST_F(TaskTest, GateClosesWhenTheLastHasLeft) {
  Signal a;
  std::vector<std::string> log;
  Gate gate;
  Gate outer;
  bool closed = false;
  gate.spawn(wait_for(a, "a", log));
  run();
  outer.spawn(close_and_tell(gate, closed));
  run();
  EXPECT_TRUE(gate.closing());
  EXPECT_FALSE(closed);
  gate.spawn(wait_for(a, "refused", log));
  EXPECT_EQ(gate.inside_count(), 1U);
  a.notify();
  run();
  EXPECT_TRUE(closed);
  EXPECT_EQ(log.size(), 1U);
}

TEST(FramePoolTest, ReusesBlocksAndAligns) {
  FramePool pool(1 << 16);
  void* first = pool.allocate(300);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0U);
  FramePool::release(first);
  void* second = pool.allocate(310);
  EXPECT_EQ(first, second);
  EXPECT_EQ(pool.frames_in_use(), 1U);
  FramePool::release(second);
  EXPECT_EQ(pool.bytes_in_use(), 0U);
}

TEST(FramePoolDeathTest, SaysWhichLimitIsReached) {
  FramePool pool(1024);
  EXPECT_DEATH(pool.allocate(2000), "frame_bytes_per_shard");
}

Task<> note_late(std::string& order, char mark) {
  co_await yield_late();
  order += mark;
  co_await yield();
  order += mark;
}

Task<> note(std::string& order, char mark, int times) {
  for (int i = 0; i < times; ++i) {
    order += mark;
    co_await yield();
  }
}

TEST_F(TaskTest, WhoYieldsLateRunsWhenNothingElseIsReady) {
  std::string order;
  Gate gate;
  gate.spawn(note_late(order, 'L'));
  gate.spawn(note_late(order, 'M'));
  gate.spawn(note(order, 'a', 3));
  run();
  EXPECT_EQ(order, "aaa");
  EXPECT_TRUE(executor_.has_late());
  EXPECT_TRUE(executor_.ready_late());
  run();
  EXPECT_EQ(order, "aaaLL");
  EXPECT_TRUE(executor_.ready_late());
  run();
  EXPECT_EQ(order, "aaaLLMM");
  EXPECT_FALSE(executor_.ready_late());
}

}  // namespace
}  // namespace sluice
