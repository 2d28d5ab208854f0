#include "engine/base/latency.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::microseconds;

TEST(LatencyCounts, QuantilesAreAtMostAQuarterAbove) {
  EXPECT_EQ(LatencyCounts().quantile(0.5), Duration(0));
  constexpr int64_t kMicros[] = {0, 1, 3, 4, 5, 7, 8, 100, 1'000, 999'999, 86'400'000'000};
  for (const int64_t micros : kMicros) {
    LatencyCounts counts;
    counts.add(microseconds(micros));
    const Duration found = counts.quantile(0.99);
    if (micros < 60'000'000'000) {
      EXPECT_GT(found, microseconds(micros)) << micros;
      EXPECT_LE(found, microseconds(micros + micros / 4 + 1)) << micros;
    } else {
      EXPECT_GT(found, std::chrono::hours(15));
    }
  }
}

TEST(LatencyCounts, SharesAreOfAllThatWereMerged) {
  LatencyCounts counts;
  LatencyCounts others;
  for (int i = 0; i < 98; ++i) counts.add(microseconds(10));
  for (int i = 0; i < 2; ++i) others.add(microseconds(1'000'000));
  counts.merge(others);
  EXPECT_EQ(counts.total(), 100U);
  EXPECT_LT(counts.quantile(0.5), microseconds(13));
  EXPECT_LT(counts.quantile(0.98), microseconds(13));
  EXPECT_GT(counts.quantile(0.99), microseconds(999'999));
}

}  // namespace
}  // namespace sluice
