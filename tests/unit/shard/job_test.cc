#include "engine/shard/job.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice {
namespace {

TEST(JobTest, SourcesAreChosenByWeightAndStay) {
  Job job(1);
  job.id = "news-20261122T100000Z-abcdef";
  job.members = {{.source = 4, .weight_end = 1}, {.source = 9, .weight_end = 4}};
  std::map<uint32_t, int> chosen;
  for (uint32_t block = 0; block < 4'000; ++block) {
    const uint32_t source = job.source_of(2, block);
    EXPECT_EQ(source, job.source_of(2, block));
    ++chosen[source];
  }
  EXPECT_EQ(chosen.size(), 2U);
  EXPECT_NEAR(chosen[4], 1'000, 150);
  EXPECT_NEAR(chosen[9], 3'000, 150);
}

TEST(JobTest, AnotherJobSpreadsDifferently) {
  Job a(1);
  Job b(1);
  a.id = "a";
  b.id = "b";
  a.members = b.members = {{.source = 0, .weight_end = 1}, {.source = 1, .weight_end = 2}};
  int differ = 0;
  for (uint32_t block = 0; block < 100; ++block) {
    differ += a.source_of(0, block) != b.source_of(0, block) ? 1 : 0;
  }
  EXPECT_GT(differ, 20);
}

}  // namespace
}  // namespace sluice
