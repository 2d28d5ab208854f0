// Debian's abseil 20220623.1 (its options.h).
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/base/options.h"
#include "absl/strings/string_view.h"
#include "engine/base/strings.h"

namespace sluice {
namespace {

// Our headers use the standard's type and convert at absl's calls.
TEST(AbseilProbe, ItsStringViewIsNotTheStandards) {
  static_assert(!std::is_same_v<absl::string_view, std::string_view>);
  EXPECT_EQ(ABSL_OPTION_USE_STD_STRING_VIEW, 0);
}

TEST(AbseilProbe, HardeningIsOn) { EXPECT_EQ(ABSL_OPTION_HARDENED, 1); }

// No string is made for a lookup: a view into a longer text does.
TEST(AbseilProbe, MapsOfStringsAreAskedWithAView) {
  StringMap<int> map;
  map.try_emplace(std::string("example.com"), 7);
  const std::string_view text = "a.long.host.name.under.example.com";
  const auto found = map.find(text.substr(text.size() - 11));
  ASSERT_NE(found, map.end());
  EXPECT_EQ(found->second, 7);
  EXPECT_TRUE(map.contains(std::string_view("example.com")));
  EXPECT_EQ(map.find(text), map.end());
}

}  // namespace
}  // namespace sluice
