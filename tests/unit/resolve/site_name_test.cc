#include "engine/resolve/site_name.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace sluice {
namespace {

TEST(SiteName, FactorsLikeKumoMta) {
  EXPECT_EQ(site_name({"gmail-smtp-in.l.google.com", "alt2.gmail-smtp-in.l.google.com",
                       "alt1.gmail-smtp-in.l.google.com"}),
            "(alt1|alt2)?.gmail-smtp-in.l.google.com");
  EXPECT_EQ(site_name({"mx2.example.com", "mx1.example.com"}), "(mx1|mx2).example.com");
  EXPECT_EQ(site_name({"a.x.com", "a.y.com", "b.x.com", "b.y.com"}), "(a|b).(x|y).com");
}

TEST(SiteName, FallsBackToJoining) {
  EXPECT_EQ(site_name({"mx.b.net", "mx.a.com"}), "mx.a.com|mx.b.net");
  EXPECT_EQ(site_name({"a.x.com", "b.y.com"}), "a.x.com|b.y.com");
  EXPECT_EQ(site_name({"com", "a.b.com"}), "a.b.com|com");
}

TEST(SiteName, IsTotal) {
  EXPECT_EQ(site_name({}), "");
  EXPECT_EQ(site_name({"mx.example.com"}), "mx.example.com");
  EXPECT_EQ(site_name({"mx.example.com", "mx.example.com"}), "mx.example.com");
}

TEST(SiteName, DifferentSetsHaveDifferentNames) {
  // All sets of names of up to three labels over {a, b}.
  std::vector<std::string> names;
  const std::vector<std::string> labels = {"a", "b"};
  for (const std::string& x : labels) {
    names.push_back(x);
    for (const std::string& y : labels) {
      names.push_back(x + "." + y);
      if (names.size() < 10) names.push_back(x + "." + y + ".a");
    }
  }
  std::map<std::string, uint32_t> seen;
  for (uint32_t set = 0; set < (1U << names.size()); ++set) {
    std::vector<std::string> chosen;
    for (size_t i = 0; i < names.size(); ++i) {
      if ((set >> i & 1) != 0) chosen.push_back(names[i]);
    }
    const auto [at, inserted] = seen.emplace(site_name(chosen), set);
    EXPECT_TRUE(inserted) << at->first;
  }
}

}  // namespace
}  // namespace sluice
