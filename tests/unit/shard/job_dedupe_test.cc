#include "engine/shard/job_dedupe.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <unordered_set>

#include "engine/base/random.h"
#include "engine/ring/gate.h"
#include "tests/unit/loop_directory.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class JobDedupeTest : public LoopDirectory {
 protected:
  std::string directory() const { return root_ + "/dedupe"; }
  std::unique_ptr<JobDedupe> make() {
    return std::make_unique<JobDedupe>(*loop_, directory(), SipKey{3, 5}, limits_,
                                       [] { return false; });
  }
  // True when the address was seen before.
  bool see(JobDedupe& dedupe, const std::string& address) {
    const JobDedupe::Seen seen = dedupe.see(address);
    if (seen != JobDedupe::Seen::kUnsure) return seen == JobDedupe::Seen::kBefore;
    ++looked_up_;
    const StatusOr<bool> before = run(dedupe.look_up(address));
    EXPECT_TRUE(before.ok()) << before.status();
    return before.ok() && *before;
  }
  void make_room(JobDedupe& dedupe) {
    if (!dedupe.full()) return;
    const Status spilled = run(dedupe.spill());
    EXPECT_TRUE(spilled.ok()) << spilled;
  }
  size_t files() const {
    if (!fs::exists(directory())) return 0;
    return static_cast<size_t>(std::distance(fs::directory_iterator(directory()), {}));
  }

  Limits limits_ = Limits::tiny();
  size_t looked_up_ = 0;
};

TEST_F(JobDedupeTest, IsExactFarBeyondItsMemory) {
  limits_.dedupe_filter_bytes_max = 4'096;
  const auto dedupe = make();
  Random random(11);
  std::unordered_set<uint64_t> known;
  for (int i = 0; i < 12'000; ++i) {
    const uint64_t one = random.below(8'000);
    const std::string address = "user" + std::to_string(one) + "@example.com";
    ASSERT_EQ(see(*dedupe, address), !known.insert(one).second) << i;
    make_room(*dedupe);
  }
  EXPECT_EQ(dedupe->entries(), known.size());
  EXPECT_GT(looked_up_, 4'000U);
  // Of each size seven runs at most.
  EXPECT_LE(files(), 3 * (JobDedupe::kRunsOfASize - 1));
  EXPECT_GE(files(), 2U);
}

TEST_F(JobDedupeTest, TheFilterSparesTheDisk) {
  limits_.dedupe_filter_bytes_max = 1UL << 20;
  const auto dedupe = make();
  for (int i = 0; i < 5'000; ++i) {
    ASSERT_FALSE(see(*dedupe, "user" + std::to_string(i) + "@example.com"));
    make_room(*dedupe);
  }
  EXPECT_LT(looked_up_, 50U);
  EXPECT_LT(dedupe->memory_bytes(), 100'000U);
}

TEST_F(JobDedupeTest, AShortListTouchesNoDisk) {
  const auto dedupe = make();
  for (int i = 0; i < 31; ++i) {
    ASSERT_FALSE(see(*dedupe, "user" + std::to_string(i) + "@example.com"));
    EXPECT_FALSE(dedupe->full());
  }
  EXPECT_TRUE(see(*dedupe, "user30@example.com"));
  EXPECT_EQ(looked_up_, 0U);
  EXPECT_FALSE(fs::exists(directory()));
}

TEST_F(JobDedupeTest, WhatIsRememberedAgainAfterARestartIsKnown) {
  const auto dedupe = make();
  for (int i = 0; i < 500; ++i) {
    dedupe->remember("user" + std::to_string(i) + "@example.com");
    make_room(*dedupe);
  }
  // Also what stands on the disk already.
  for (int i = 0; i < 500; ++i) {
    dedupe->remember("user" + std::to_string(i) + "@example.com");
    make_room(*dedupe);
  }
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(see(*dedupe, "user" + std::to_string(i) + "@example.com"));
  }
  EXPECT_FALSE(see(*dedupe, "user500@example.com"));
}

TEST_F(JobDedupeTest, ItsFilesGoWithIt) {
  fs::create_directories(directory());
  std::ofstream(directory() + "/7.run") << "of a process that was killed";
  auto dedupe = make();
  EXPECT_EQ(files(), 0U);
  for (int i = 0; i < 100; ++i) {
    (void)see(*dedupe, "user" + std::to_string(i) + "@example.com");
    make_room(*dedupe);
  }
  EXPECT_GT(files(), 0U);
  dedupe.reset();
  EXPECT_FALSE(fs::exists(directory()));
}

TEST_F(JobDedupeTest, WhatCannotBeWrittenIsStillRemembered) {
  const auto dedupe = make();
  for (int i = 0; i < 32; ++i) (void)see(*dedupe, "user" + std::to_string(i) + "@example.com");
  std::ofstream(directory()) << "in the way";
  EXPECT_FALSE(run(dedupe->spill()).ok());
  EXPECT_TRUE(dedupe->full());
  EXPECT_TRUE(see(*dedupe, "user0@example.com"));
  fs::remove(directory());
  EXPECT_TRUE(run(dedupe->spill()).ok());
  EXPECT_FALSE(dedupe->full());
  EXPECT_TRUE(see(*dedupe, "user0@example.com"));
}

}  // namespace
}  // namespace sluice
