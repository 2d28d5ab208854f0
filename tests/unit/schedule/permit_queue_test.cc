#include "engine/schedule/permit_queue.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <vector>

#include "engine/base/random.h"
#include "engine/schedule/gcra.h"

namespace sluice {
namespace {

constexpr Instant kNow(10s);

TEST(PermitQueueTest, NobodyIsWokenBeforeThePermit) {
  PermitQueue queue;
  PermitQueue::Waiter a;
  EXPECT_TRUE(queue.may_ask(a));
  EXPECT_EQ(queue.next_wake(), kForever);
  EXPECT_EQ(queue.wake(kNow), nullptr);
  queue.wait(a, kNow);
  EXPECT_FALSE(queue.may_ask(a));
  EXPECT_EQ(queue.next_wake(), kNow);
  EXPECT_EQ(queue.wake(kNow - 1ns), nullptr);
  EXPECT_EQ(queue.wake(kNow), &a);
  EXPECT_TRUE(queue.may_ask(a));
  EXPECT_EQ(queue.size(), 0U);
}

TEST(PermitQueueTest, OneIsWokenAtATimeInTheOrderInWhichTheyCame) {
  PermitQueue queue;
  PermitQueue::Waiter a;
  PermitQueue::Waiter b;
  PermitQueue::Waiter c;
  queue.wait(a, kNow);
  queue.wait(b, Instant::min());
  queue.wait(c, Instant::min());
  queue.wait(a, Instant::min());  // keeps its place
  EXPECT_EQ(queue.next_wake(), kNow);
  EXPECT_EQ(queue.wake(kNow), &a);
  EXPECT_EQ(queue.next_wake(), kForever);
  EXPECT_EQ(queue.wake(kNow), nullptr);
  PermitQueue::Waiter late;
  EXPECT_FALSE(queue.may_ask(late));
  queue.pass(a, kNow);  // there is one more at once
  EXPECT_FALSE(a.is_waiting());
  EXPECT_EQ(queue.wake(kNow), &b);
  queue.wait(b, kNow + 1s);  // took one, wants another: at the end
  EXPECT_EQ(queue.wake(kNow), nullptr);
  EXPECT_EQ(queue.next_wake(), kNow + 1s);
  EXPECT_EQ(queue.wake(kNow + 1s), &c);
  queue.pass(c, kNow + 1s);
  EXPECT_EQ(queue.wake(kNow + 1s), &b);
}

TEST(PermitQueueTest, WhoWasRefusedAfterItsWakingStaysFirst) {
  PermitQueue queue;
  PermitQueue::Waiter a;
  PermitQueue::Waiter b;
  queue.wait(a, kNow);
  queue.wait(b, Instant::min());
  ASSERT_EQ(queue.wake(kNow), &a);
  queue.wait_first(a, kNow + 1s);
  EXPECT_EQ(queue.wake(kNow), nullptr);
  EXPECT_EQ(queue.wake(kNow + 1s), &a);
}

TEST(PermitQueueTest, WhoHadToDialFirstGoesBeforeTheOthersAfterwards) {
  PermitQueue queue;
  PermitQueue::Waiter waiters[5];
  for (auto& waiter : waiters) queue.wait(waiter, kNow);
  ASSERT_EQ(queue.wake(kNow), &waiters[0]);
  queue.pass(waiters[0], kNow);
  ASSERT_EQ(queue.wake(kNow), &waiters[1]);
  queue.pass(waiters[1], kNow);
  ASSERT_EQ(queue.wake(kNow), &waiters[2]);
  queue.wait_first(waiters[0], Instant::min());
  queue.wait_first(waiters[1], Instant::min());
  queue.wait_first(waiters[2], kNow + 1s);  // was refused: it is its turn still
  EXPECT_EQ(queue.next_wake(), kNow + 1s);
  const Instant then = kNow + 1s;
  for (const int expected : {2, 0, 1, 3, 4}) {
    ASSERT_EQ(queue.wake(then), &waiters[expected]);
    queue.pass(waiters[expected], then);
  }
  EXPECT_EQ(queue.next_wake(), kForever);
}

TEST(PermitQueueTest, WhoWasNotWokenHasNoRightToGoFirst) {
  PermitQueue queue;
  PermitQueue::Waiter a;
  PermitQueue::Waiter b;
  queue.wait(a, kNow);
  queue.wait_first(b, kNow);
  ASSERT_EQ(queue.wake(kNow), &a);
  queue.wait(a, kNow);  // its turn was used
  queue.wait_first(a, kNow);
  EXPECT_EQ(queue.wake(kNow), &b);
}

TEST(PermitQueueTest, WhoLeavesOrDiesPassesTheBaton) {
  PermitQueue queue;
  PermitQueue::Waiter a;
  PermitQueue::Waiter c;
  {
    PermitQueue::Waiter b;
    PermitQueue::Waiter in_the_middle;
    queue.wait(a, kNow);
    queue.wait(b, Instant::min());
    queue.wait(in_the_middle, Instant::min());
    queue.wait(c, Instant::min());
    ASSERT_EQ(queue.wake(kNow), &a);
    queue.leave(a);
    queue.leave(a);
    EXPECT_EQ(queue.next_wake(), kNow);
    ASSERT_EQ(queue.wake(kNow), &b);
  }
  EXPECT_EQ(queue.size(), 1U);
  EXPECT_EQ(queue.wake(kNow), &c);
}

TEST(PermitQueueTest, ASlotWithoutATimeWakesWhenItComesBack) {
  PermitQueue queue;
  PermitQueue::Waiter a;
  PermitQueue::Waiter b;
  queue.wait(a, kForever);
  queue.wait(b, Instant::min());
  EXPECT_EQ(queue.wake(kNow), nullptr);
  queue.moved(kNow);
  EXPECT_EQ(queue.wake(kNow), &a);
  queue.pass(a, kForever);
  EXPECT_EQ(queue.wake(kNow), nullptr);
  queue.moved(kNow);
  EXPECT_EQ(queue.wake(kNow), &b);
}

TEST(PermitQueueTest, AWaiterStandsInOneLineAndOutlivesIt) {
  PermitQueue::Waiter a;
  PermitQueue::Waiter b;
  PermitQueue second;
  {
    PermitQueue first;
    first.wait(a, kNow);
    first.wait(b, kNow);
    second.wait(a, kNow);
    EXPECT_EQ(first.size(), 1U);
    ASSERT_EQ(first.wake(kNow), &b);
    first.wait(b, kNow);
  }
  EXPECT_FALSE(b.is_waiting());
  EXPECT_EQ(second.wake(kNow), &a);
}

// Lanes that come, take one or several, decline, dial, leave and die at random, at one rate. The
// owner wakes at next_wake() and never else.
class LineOfLanes {
 public:
  LineOfLanes(uint64_t seed, const Rate& rate) : random_(seed), limit_(rate) {}

  void run() {
    for (int i = 0; i < 20'000; ++i) {
      if (random_.below(3) == 0) come();
      if (random_.below(12) == 0) go();
      if (random_.below(12) == 0) dialled();
      while (auto* woken = static_cast<Lane*>(queue_.wake(now_))) turn_of(*woken);
      ASSERT_FALSE(::testing::Test::HasFatalFailure());
      // Nobody stands here while there is a permit.
      ASSERT_TRUE(queue_.size() == 0 || limit_.peek(now_) > now_);
      const Instant wake = queue_.next_wake();
      ASSERT_EQ(wake, queue_.size() == 0 ? kForever : limit_.peek(now_));
      now_ = std::min(wake, now_ + Duration(1 + random_.below(4'000'000)));
    }
    EXPECT_GT(taken_, 1'000U);
    EXPECT_LE(wakes_, taken_ + declined_ + left_);
  }

 private:
  struct Lane : PermitQueue::Waiter {
    uint32_t wants = 0;
  };

  void come() {
    Lane& lane = *lanes_.emplace_back(std::make_unique<Lane>());
    lane.wants = 1 + static_cast<uint32_t>(random_.below(3));
    if (!queue_.may_ask(lane)) {
      queue_.wait(lane, Instant::min());
    } else {
      const Permit permit = limit_.take(now_);
      if (permit.granted) ++taken_;
      if (permit.granted && --lane.wants == 0) {
        lanes_.pop_back();
        return;
      }
      queue_.wait(lane, limit_.peek(now_));
    }
    order_.push_back(&lane);
  }

  // Any of those in the line.
  void go() {
    if (order_.empty()) return;
    const size_t at = random_.below(order_.size());
    Lane* lane = order_[at];
    order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(at));
    if (at < firsts_) --firsts_;
    forget(lane);
  }

  void dialled() {
    if (dialling_.empty()) return;
    Lane* lane = dialling_.front();
    dialling_.pop_front();
    queue_.wait_first(*lane, queue_.may_ask(*lane) ? limit_.peek(now_) : Instant::min());
    order_.insert(order_.begin() + static_cast<std::ptrdiff_t>(firsts_++), lane);
  }

  void turn_of(Lane& lane) {
    ++wakes_;
    ASSERT_FALSE(order_.empty());
    ASSERT_EQ(&lane, order_.front()) << "not first come, first served";
    ASSERT_EQ(queue_.wake(now_), nullptr) << "a second baton";
    order_.pop_front();
    if (firsts_ > 0) --firsts_;
    switch (random_.below(6)) {
      case 0:
        ++declined_;
        dialling_.push_back(&lane);
        queue_.pass(lane, now_);
        return;
      case 1:
        ++left_;
        forget(&lane);  // dies with the baton
        return;
      default:
        break;
    }
    const Permit permit = limit_.take(now_);
    ASSERT_TRUE(permit.granted) << "woken for nothing";
    ++taken_;
    if (--lane.wants > 0) {
      queue_.wait(lane, limit_.peek(now_));
      order_.push_back(&lane);
    } else {
      queue_.pass(lane, limit_.peek(now_));
      forget(&lane);
    }
  }

  void forget(Lane* lane) {
    std::erase_if(lanes_, [lane](const auto& known) { return known.get() == lane; });
  }

  Random random_;
  Gcra limit_;
  Instant now_{1h};
  PermitQueue queue_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::deque<Lane*> order_;  // as it ought to be
  size_t firsts_ = 0;        // of order_, those who go before the others
  std::deque<Lane*> dialling_;
  uint64_t taken_ = 0;
  uint64_t wakes_ = 0;
  uint64_t declined_ = 0;
  uint64_t left_ = 0;
};

TEST(PermitQueueTest, EveryPermitIsUsedInOrderAndNobodyIsWokenForNothing) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    LineOfLanes lanes(seed, {100 + 37 * seed, 1s, 1 + seed % 5});
    lanes.run();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

// Several shards at one limit: each has a line; whoever is slower stays first in its own.
TEST(PermitQueueTest, ShardsShareALimitWithoutWastingAPermit) {
  Gcra limit({1'000, 1s, 1});
  constexpr size_t kShards = 4;
  constexpr size_t kLanes = 10;
  PermitQueue queues[kShards];
  PermitQueue::Waiter lanes[kShards][kLanes];
  Instant now(1h);
  for (size_t shard = 0; shard < kShards; ++shard) {
    for (auto& lane : lanes[shard]) queues[shard].wait(lane, now);
  }
  const Instant end = now + 10s;
  uint64_t taken = 0;
  uint64_t wakes = 0;
  uint64_t of_lane[kShards][kLanes] = {};
  Random random(1);
  while (now < end) {
    const size_t first = random.below(kShards);  // which thread is faster
    Instant next = kForever;
    for (size_t i = 0; i < kShards; ++i) {
      const size_t shard = (first + i) % kShards;
      PermitQueue& queue = queues[shard];
      while (PermitQueue::Waiter* woken = queue.wake(now)) {
        ++wakes;
        const Permit permit = limit.take(now);
        if (!permit.granted) {
          queue.wait_first(*woken, permit.at);
          continue;
        }
        ++taken;
        ++of_lane[shard][woken - lanes[shard]];
        queue.wait(*woken, limit.peek(now));
      }
      next = std::min(next, queue.next_wake());
    }
    ASSERT_GT(next, now);
    now = next;
  }
  EXPECT_GE(taken, 10'000U);
  EXPECT_LE(taken, 10'001U);
  EXPECT_LE(wakes, taken * kShards);
  for (const auto& shard : of_lane) {
    for (size_t lane = 1; lane < kLanes; ++lane) EXPECT_NEAR(shard[lane], shard[0], 1);
  }
}

}  // namespace
}  // namespace sluice
