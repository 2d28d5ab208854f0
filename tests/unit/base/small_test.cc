// The smallest words of the base: random numbers, status, time, log.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <vector>

#include "engine/base/log.h"
#include "engine/base/random.h"
#include "engine/base/status.h"
#include "engine/base/time.h"

namespace sluice {
namespace {

TEST(Random, SameSeedSameSequenceOnEveryMachine) {
  Random a(42);
  Random b(42);
  Random c(43);
  int equal = 0;
  for (int i = 0; i < 100; ++i) {
    const uint64_t value = a.next();
    EXPECT_EQ(value, b.next());
    equal += value == c.next() ? 1 : 0;
  }
  EXPECT_EQ(equal, 0);
  // The reference sequence of xoshiro256** seeded by splitmix64 from 0.
  Random zero(0);
  EXPECT_EQ(zero.next(), 0x99EC5F36CB75F2B4ULL);
  EXPECT_EQ(zero.next(), 0xBF6E1F784956452AULL);
}

TEST(Random, IsUniformEnoughAndInRange) {
  Random random(5);
  std::array<int, 7> hits{};
  for (int i = 0; i < 70'000; ++i) ++hits[random.below(7)];
  for (const int count : hits) EXPECT_NEAR(count, 10'000, 500);
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double f = random.fraction();
    ASSERT_GE(f, 0.0);
    ASSERT_LT(f, 1.0);
    sum += f;
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
  EXPECT_EQ(random.below(1), 0U);
  std::vector<int> items(50);
  std::iota(items.begin(), items.end(), 0);
  std::vector<int> shuffled = items;
  random.shuffle(shuffled);
  EXPECT_NE(shuffled, items);
  std::sort(shuffled.begin(), shuffled.end());
  EXPECT_EQ(shuffled, items);
}

StatusOr<int> half(int value) {
  if (value % 2 != 0) return invalid("odd");
  return value / 2;
}
Status quarter(int value, int& out) {
  ASSIGN_OR_RETURN(const int once, half(value));
  ASSIGN_OR_RETURN(out, half(once));
  RETURN_IF_ERROR(absl::OkStatus());
  return absl::OkStatus();
}

TEST(StatusHelpers, PassErrorsOn) {
  int out = 0;
  EXPECT_TRUE(quarter(8, out).ok());
  EXPECT_EQ(out, 2);
  const Status failed = quarter(6, out);
  EXPECT_EQ(failed.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(message_of(failed), "odd");
  EXPECT_EQ(message_of(annotate(failed, "list.csv:3")), "list.csv:3: odd");
  EXPECT_EQ(annotate(failed, "x").code(), failed.code());
  EXPECT_TRUE(annotate(absl::OkStatus(), "x").ok());
}

TEST(Time, RoundsUnixSecondsDown) {
  EXPECT_EQ(unix_seconds(from_unix_seconds(5) + 999ms), 5);
  EXPECT_EQ(unix_seconds(from_unix_seconds(-5) - 1ns), -6);
  EXPECT_DOUBLE_EQ(to_seconds(1500ms), 1.5);
}

std::vector<std::string>& logged() {
  static std::vector<std::string> lines;
  return lines;
}

TEST(Log, GivesTheSinkWhatIsImportantEnough) {
  set_log_sink([](LogLevel, const std::string& line) { logged().push_back(line); },
               LogLevel::kInfo);
  log(LogLevel::kDebug, "quiet");
  log(LogLevel::kInfo, "said");
  EXPECT_FALSE(log_enabled(LogLevel::kDebug));
  EXPECT_TRUE(log_enabled(LogLevel::kError));
  set_log_sink(nullptr, LogLevel::kWarning);
  EXPECT_EQ(logged(), std::vector<std::string>{"said"});
}

}  // namespace
}  // namespace sluice
