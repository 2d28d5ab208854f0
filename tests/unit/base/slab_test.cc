#include "engine/base/slab.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/random.h"

namespace sluice {
namespace {

struct Counted {
  Counted(int v, int& alive) : value(v), alive_count(alive) { ++alive_count; }
  ~Counted() { --alive_count; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  int value;
  int& alive_count;
};

TEST(Slab, HandlesOfTheDeadAreKnown) {
  int alive = 0;
  Slab<Counted> slab(2);
  const SlabHandle first = slab.make(1, alive);
  EXPECT_EQ(slab.find(first)->value, 1);
  slab.erase(first);
  EXPECT_EQ(slab.find(first), nullptr);
  const SlabHandle second = slab.make(2, alive);
  EXPECT_EQ(second.index, first.index);
  EXPECT_NE(second, first);
  EXPECT_EQ(slab.find(first), nullptr);
  EXPECT_EQ(slab.find(SlabHandle{}), nullptr);
  EXPECT_EQ(slab.find(SlabHandle{77, 1}), nullptr);
  EXPECT_EQ(alive, 1);
}

TEST(Slab, IsBoundedAndDestroysWhatIsLeft) {
  int alive = 0;
  {
    Slab<Counted> slab(100);
    for (int i = 0; i < 100; ++i) EXPECT_NE(slab.make(i, alive), SlabHandle{});
    EXPECT_EQ(slab.make(100, alive), SlabHandle{});
    EXPECT_EQ(slab.size(), 100U);
    EXPECT_EQ(alive, 100);
  }
  EXPECT_EQ(alive, 0);
}

TEST(Slab, AddressesStayOverRandomUse) {
  int alive = 0;
  Random random(3);
  Slab<Counted> slab(500);
  std::vector<std::pair<SlabHandle, Counted*>> held;
  for (int i = 0; i < 20'000; ++i) {
    if (random.below(2) == 0 && slab.size() < slab.capacity()) {
      const SlabHandle handle = slab.make(i, alive);
      slab.find(handle)->value = static_cast<int>(handle.index);
      held.emplace_back(handle, slab.find(handle));
    } else if (!held.empty()) {
      const size_t at = random.below(held.size());
      ASSERT_EQ(slab.find(held[at].first), held[at].second);
      ASSERT_EQ(held[at].second->value, static_cast<int>(held[at].first.index));
      slab.erase(held[at].first);
      ASSERT_EQ(slab.find(held[at].first), nullptr);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
    }
    ASSERT_EQ(slab.size(), held.size());
    ASSERT_EQ(alive, static_cast<int>(held.size()));
  }
}

TEST(SlabDeathTest, ErasingTwiceAborts) {
  Slab<int> slab(1);
  const SlabHandle handle = slab.make(1);
  slab.erase(handle);
  EXPECT_DEATH(slab.erase(handle), "CHECK failed");
}

}  // namespace
}  // namespace sluice
