// Coroutines as g++ 12 and clang 14 make them, through engine/ring/task.h.
#include <gtest/gtest.h>

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "engine/ring/gate.h"
#include "engine/ring/task.h"

namespace sluice {
namespace {

class CoroutineProbe : public ::testing::Test {
 protected:
  void run() {
    while (executor_.run_one()) {
    }
  }
  Executor executor_{1 << 20};
  Executor::Scope scope_{executor_};
  Gate gate_;
};

uintptr_t stack_address() { return reinterpret_cast<uintptr_t>(__builtin_frame_address(0)); }

Task<> set(bool& flag) {
  flag = true;
  co_return;
}

TEST_F(CoroutineProbe, ATaskThatNobodyAwaitsDoesNothing) {
  bool flag = false;
  {
    const Task<> task = set(flag);
    run();
  }
  EXPECT_FALSE(flag);
  gate_.spawn(set(flag));
  EXPECT_FALSE(flag);
  run();
  EXPECT_TRUE(flag);
}

struct StackRange {
  uintptr_t lowest = UINTPTR_MAX;
  uintptr_t highest = 0;
  int count = 0;
};

Task<> note_stack(StackRange& range) {
  const uintptr_t here = stack_address();
  range.lowest = std::min(range.lowest, here);
  range.highest = std::max(range.highest, here);
  ++range.count;
  co_return;
}

Task<> note_often(StackRange& range, int times) {
  for (int i = 0; i < times; ++i) co_await note_stack(range);
}

// With symmetric transfer this overflows in unoptimised builds.
TEST_F(CoroutineProbe, AMillionFinishedAwaitsUseOneStackFrame) {
  StackRange range;
  gate_.spawn(note_often(range, 1'000'000));
  run();
  EXPECT_EQ(range.count, 1'000'000);
  EXPECT_LE(range.highest - range.lowest, 1'024U);
}

Task<> nest(StackRange& range, int depth) {
  if (depth > 0) co_await nest(range, depth - 1);
  co_await note_stack(range);
}

TEST_F(CoroutineProbe, DeepNestingNeedsFramesAndNoStack) {
  StackRange range;
  gate_.spawn(nest(range, 1'000));
  run();
  EXPECT_EQ(range.count, 1'001);
  EXPECT_LE(range.highest - range.lowest, 1'024U);
}

struct OwnHandle {
  std::coroutine_handle<> handle;
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> self) noexcept {
    handle = self;
    return false;
  }
  std::coroutine_handle<> await_resume() const noexcept { return handle; }
};

Task<> find_frame(uintptr_t& frame, uintptr_t& local) {
  const std::coroutine_handle<> self = co_await OwnHandle{};
  frame = reinterpret_cast<uintptr_t>(self.address());
  alignas(16) char wide[64];
  local = reinterpret_cast<uintptr_t>(&wide[0]);
  wide[0] = 1;
  co_await yield();
  local |= static_cast<uintptr_t>(wide[0] - 1);
}

// Vector stores into a frame need 16; the pool gives every block a cache line.
TEST_F(CoroutineProbe, FramesAndTheirLocalsAreAligned) {
  for (int i = 0; i < 100; ++i) {
    uintptr_t frame = 0;
    uintptr_t local = 0;
    gate_.spawn(find_frame(frame, local));
    run();
    EXPECT_NE(frame, 0U);
    EXPECT_EQ(frame % alignof(std::max_align_t), 0U);
    EXPECT_EQ(local % 16, 0U);
  }
}

struct Counted {
  explicit Counted(int& count) : alive(&count) { ++*alive; }
  Counted(const Counted& other) : alive(other.alive) { ++*alive; }
  Counted(Counted&& other) noexcept : alive(other.alive) { ++*alive; }
  Counted& operator=(const Counted&) = delete;
  Counted& operator=(Counted&&) = delete;
  ~Counted() { --*alive; }
  int* alive;
};

Task<int> take(Counted counted, std::string text) {
  co_await yield();
  co_return *counted.alive + static_cast<int>(text.size());
}

Task<> give(int& alive, int& result) {
  Counted counted(alive);
  std::string text(100, 'x');
  const int value = co_await take(std::move(counted), std::move(text));
  result = value;
}

// One co_await a statement, operands named first: every argument dies exactly once.
TEST_F(CoroutineProbe, ArgumentsByValueDieOnce) {
  int alive = 0;
  int result = 0;
  gate_.spawn(give(alive, result));
  run();
  EXPECT_GE(result, 102);
  EXPECT_EQ(alive, 0);
  {
    const Task<int> dropped = take(Counted(alive), "never run");
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

TEST_F(CoroutineProbe, SmallFramesAreSmall) {
  int alive = 0;
  const Task<int> task = take(Counted(alive), "");
  EXPECT_LE(executor_.frames().bytes_in_use(), 512U);
}

}  // namespace
}  // namespace sluice
