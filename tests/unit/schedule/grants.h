// What a limit let out, and whether that was too much.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/model/policy.h"

namespace sluice {

__extension__ using Wide = __int128;

inline Instant at(int64_t nanoseconds) { return Instant(Duration(nanoseconds)); }

struct Grant {
  int64_t at = 0;  // nanoseconds
  uint64_t count = 0;
};

// In every window between two grants: permits <= burst + rate * (t + 1 ns), in whole numbers. With
// S(i) the permits before grant i, this is S(j + 1) - S(i) <= burst + rate * (t_j - t_i); the least
// of S(i) - rate * t_i so far decides.
inline ::testing::AssertionResult never_exceeds(std::vector<Grant> grants, const Rate& r) {
  std::sort(grants.begin(), grants.end(),
            [](const Grant& a, const Grant& b) { return a.at < b.at; });
  const Wide period = r.period.count();
  const Wide amount = static_cast<Wide>(r.amount);
  Wide before = 0;
  Wide least = 0;
  bool first = true;
  for (const Grant& grant : grants) {
    const Wide level = before * period - amount * grant.at;
    least = first ? level : std::min(least, level);
    first = false;
    before += static_cast<Wide>(grant.count);
    if (before * period - amount * (grant.at + 1) - least > static_cast<Wide>(r.burst) * period) {
      return ::testing::AssertionFailure() << to_string(r) << " exceeded at " << grant.at;
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace sluice
