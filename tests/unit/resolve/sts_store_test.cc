#include "engine/resolve/sts_store.h"

#include <gtest/gtest.h>

#include "engine/resolve/sts_file.h"

namespace sluice {
namespace {

using Kind = StsRecord::Kind;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const StsRecord kNoRecord = {Kind::kNone, ""};
const StsRecord kUnknown = {Kind::kUnknown, ""};

StsRecord id(const std::string& text) { return {Kind::kId, text}; }

StsFetched policy(Duration max_age, const std::string& mx = "mx.example.com") {
  const auto count = std::chrono::floor<seconds>(max_age).count();
  return {StsFetched::Kind::kText,
          "version: STSv1\nmode: enforce\nmx: " + mx + "\nmax_age: " + std::to_string(count) + "\n",
          ""};
}
const StsFetched kBroken = {StsFetched::Kind::kFailed, "", "status 404 instead of 200"};
const StsFetched kBusy = {StsFetched::Kind::kNotAsked, "", "too many policies wait"};

// What advice says: "policy" by its id, "fetch", "pending".
std::string words(const StsAdvice& advice) {
  std::string text = advice.policy ? advice.policy->id : "-";
  if (advice.fetch) text += " fetch";
  if (advice.pending) text += " pending";
  return text;
}

class StsStoreTest : public ::testing::Test {
 protected:
  std::string consult(const StsRecord& record, const std::string& domain = "example.com") {
    return words(store_.consult(domain, record, now_));
  }
  // A fetch that is asked for now and ends now.
  void fetch(const std::string& under, const StsFetched& fetched,
             const std::string& domain = "example.com") {
    ASSERT_TRUE(store_.consult(domain, id(under), now_).fetch);
    store_.take(domain, under, now_, fetched);
  }

  WallTime now_ = from_unix_seconds(1'800'000'000);
  StsStore store_;
};

TEST_F(StsStoreTest, WithoutARecordNothingIsFetched) {
  EXPECT_EQ(consult(kNoRecord), "-");
  EXPECT_EQ(consult(kUnknown), "-");
  EXPECT_EQ(store_.domains(), 0U);
}

TEST_F(StsStoreTest, TheFirstRouteHasThePolicyFetchedAndTheOthersWait) {
  EXPECT_EQ(consult(id("1")), "- fetch pending");
  EXPECT_EQ(consult(id("1")), "- pending");
  EXPECT_EQ(consult(id("1"), "other.example"), "- fetch pending");
  store_.take("example.com", "1", now_, policy(hours(48)));
  EXPECT_EQ(consult(id("1")), "1");
  const StsPolicyPtr held = store_.consult("example.com", id("1"), now_).policy;
  EXPECT_EQ(held->mode, StsMode::kEnforce);
  EXPECT_EQ(held->mx, std::vector<std::string>{"mx.example.com"});
  EXPECT_EQ(held->fetched, now_);
  EXPECT_EQ(held->expires, now_ + hours(48));
}

TEST_F(StsStoreTest, WhatHoldsGoesOnWithoutARecord) {
  fetch("1", policy(hours(48)));
  now_ += hours(48) - seconds(1);
  EXPECT_EQ(consult(kNoRecord), "1");
  EXPECT_EQ(consult(kUnknown), "1");
  now_ += seconds(1);
  EXPECT_EQ(consult(kNoRecord), "-");
  EXPECT_EQ(consult(kUnknown), "-");
}

TEST_F(StsStoreTest, ANewIdIsFetchedWhileTheOldPolicyHolds) {
  fetch("1", policy(hours(48)));
  EXPECT_EQ(consult(id("2")), "1 fetch pending");
  EXPECT_EQ(consult(id("2")), "1 pending");
  EXPECT_EQ(consult(id("1")), "1") << "the old id again: its policy holds";
  store_.take("example.com", "2", now_, policy(hours(48), "new.example.com"));
  EXPECT_EQ(consult(id("2")), "2");
}

TEST_F(StsStoreTest, AFailedFetchLeavesTheOldPolicyAndPauses) {
  fetch("1", policy(hours(48)));
  fetch("2", kBroken);
  EXPECT_EQ(consult(id("2")), "1");
  now_ += minutes(5) - seconds(1);
  EXPECT_EQ(consult(id("2")), "1");
  now_ += seconds(1);
  EXPECT_EQ(consult(id("2")), "1 fetch") << "mail is not held a second time";
  store_.take("example.com", "2", now_, kBroken);
  now_ += minutes(9);
  EXPECT_EQ(consult(id("2")), "1") << "the pause doubles";
  now_ += minutes(1);
  EXPECT_EQ(consult(id("2")), "1 fetch");
  now_ += hours(48);
  EXPECT_EQ(consult(kNoRecord), "-");
}

TEST_F(StsStoreTest, WithNothingKnownAFailureIsNotRepeatedForFiveMinutes) {
  fetch("1", kBroken);
  EXPECT_EQ(consult(id("1")), "-");
  now_ += minutes(5) - seconds(1);
  EXPECT_EQ(consult(id("1")), "-");
  // Another id is another policy.
  EXPECT_EQ(consult(id("2")), "- fetch pending");
  store_.take("example.com", "2", now_, policy(hours(1)));
  EXPECT_EQ(consult(id("2")), "2");
}

TEST_F(StsStoreTest, ThePauseEndsAtAnHour) {
  fetch("1", kBroken);
  for (int i = 0; i < 10; ++i) {
    now_ += hours(1);
    fetch("1", kBroken);
  }
  now_ += hours(1) - seconds(1);
  EXPECT_EQ(consult(id("1")), "-");
  now_ += seconds(1);
  EXPECT_EQ(consult(id("1")), "- fetch");
}

TEST_F(StsStoreTest, ATextThatIsNoPolicyIsAFailure) {
  fetch("1", {StsFetched::Kind::kText, "<html>", ""});
  EXPECT_EQ(consult(id("1")), "-");
  EXPECT_EQ(store_.describe("example.com", now_),
            "no policy; the fetch of id 1 failed: line 1 of the policy is no \"key: value\"");
}

TEST_F(StsStoreTest, RefreshesPastHalfOfMaxAgeOrADay) {
  fetch("1", policy(hours(10)));
  now_ += hours(5) - seconds(1);
  EXPECT_EQ(consult(id("1")), "1");
  now_ += seconds(1);
  EXPECT_EQ(consult(id("1")), "1 fetch");
  EXPECT_EQ(consult(id("1")), "1");
  store_.take("example.com", "1", now_, policy(hours(24 * 365)));
  now_ += hours(24) - seconds(1);
  EXPECT_EQ(consult(id("1")), "1");
  now_ += seconds(1);
  EXPECT_EQ(consult(id("1")), "1 fetch");
  store_.take("example.com", "1", now_, kBroken);
  EXPECT_EQ(consult(id("1")), "1");
}

// One that is over when it comes would be fetched without end.
TEST_F(StsStoreTest, ATinyMaxAgeIsFetchedEveryFiveMinutesAtMost) {
  fetch("1", policy(seconds(0)));
  EXPECT_EQ(consult(id("1")), "-");
  now_ += minutes(5);
  EXPECT_EQ(consult(id("1")), "- fetch pending");
}

TEST_F(StsStoreTest, NobodyIsHeldForeverByAFetcherThatIsBusyOrLost) {
  EXPECT_EQ(consult(id("1")), "- fetch pending");
  store_.take("example.com", "1", now_, kBusy);
  now_ += seconds(1);
  EXPECT_EQ(consult(id("1")), "- fetch pending") << "nothing was learnt: at once again";
  store_.take("example.com", "1", now_, kBusy);
  now_ += seconds(89);
  EXPECT_EQ(consult(id("1")), "- fetch") << "held for 90 seconds in all";

  const WallTime begun = now_;
  now_ += seconds(90);
  EXPECT_EQ(consult(id("1")), "-") << "lost: counts as failed";
  now_ += minutes(5);
  EXPECT_EQ(consult(id("1")), "- fetch");
  store_.take("example.com", "1", begun, policy(hours(1)));
  EXPECT_EQ(consult(id("1")), "-") << "too late: another one was begun";
  store_.take("example.com", "1", now_, policy(hours(1)));
  EXPECT_EQ(consult(id("1")), "1");
}

TEST_F(StsStoreTest, AClockSetBackNeverShortensAPolicy) {
  fetch("1", policy(hours(48)));
  now_ -= hours(24);
  EXPECT_EQ(consult(kNoRecord), "1");
  EXPECT_EQ(consult(id("1")), "1 fetch");
  store_.take("example.com", "1", now_, kBroken);
  EXPECT_EQ(consult(id("1")), "1");

  fetch("1", kBroken, "other.example");
  now_ -= hours(24);
  EXPECT_EQ(consult(id("1"), "other.example"), "- fetch") << "no pause of a day and five minutes";
}

TEST_F(StsStoreTest, FailuresAreToldOnceAsFarAsTheyAreWanted) {
  StsLimits limits;
  limits.failures_max = 3;
  StsStore store(limits);
  const auto fail = [&](const std::string& domain, const StsFetched& fetched) {
    ASSERT_TRUE(store.consult(domain, id("1"), now_).fetch);
    store.take(domain, "1", now_, fetched);
  };
  StsFetched untrusted = kBroken;
  untrusted.fault = StsFault::kCertificate;
  fail("a", kBroken);
  fail("b", untrusted);
  fail("busy", kBusy);
  fail("good", policy(hours(1)));
  fail("c", {StsFetched::Kind::kText, "<html>", "", StsFault::kFetch});
  fail("d", kBroken);
  const std::vector<StsFailure> told = store.take_failures();
  ASSERT_EQ(told.size(), 3U);
  EXPECT_EQ(told[0], (StsFailure{"a", StsFault::kFetch, "status 404 instead of 200"}));
  EXPECT_EQ(told[1], (StsFailure{"b", StsFault::kCertificate, "status 404 instead of 200"}));
  EXPECT_EQ(told[2].domain, "c");
  EXPECT_EQ(told[2].fault, StsFault::kInvalid);
  EXPECT_TRUE(store.take_failures().empty());
}

TEST_F(StsStoreTest, APolicyThatHoldsForAMomentIsFetchedAgainAtItsEnd) {
  fetch("1", policy(minutes(1)));
  EXPECT_EQ(consult(id("1")), "1");
  now_ += minutes(1);
  EXPECT_EQ(consult(id("1")), "- fetch pending");
  // One that never holds: mail goes without it, with pauses between the fetches.
  StsStore store;
  ASSERT_TRUE(store.consult("zero", id("1"), now_).fetch);
  store.take("zero", "1", now_, policy(seconds(0)));
  EXPECT_EQ(words(store.consult("zero", id("1"), now_)), "-");
  EXPECT_EQ(words(store.consult("zero", id("1"), now_ + seconds(11))), "- fetch pending");
}

TEST_F(StsStoreTest, BoundedNumberOfDomains) {
  StsLimits limits;
  limits.domains_max = 3;
  StsStore small(limits);
  const auto learn = [&](const std::string& domain) {
    ASSERT_TRUE(small.consult(domain, id("1"), now_).fetch);
    small.take(domain, "1", now_, policy(hours(1)));
  };
  for (const char* domain : {"a", "b", "c"}) learn(domain);
  EXPECT_EQ(words(small.consult("a", kNoRecord, now_)), "1");
  learn("d");
  EXPECT_EQ(small.domains(), 3U);
  EXPECT_EQ(words(small.consult("b", kNoRecord, now_)), "-") << "asked for the longest ago";
  for (const char* domain : {"a", "c", "d"}) {
    EXPECT_EQ(words(small.consult(domain, kNoRecord, now_)), "1") << domain;
  }
}

TEST_F(StsStoreTest, BoundedOctets) {
  StsLimits limits;
  limits.bytes_max = 10'000;
  StsStore small(limits);
  for (int i = 0; i < 100; ++i) {
    const std::string domain = "d" + std::to_string(i);
    ASSERT_TRUE(small.consult(domain, id("1"), now_).fetch);
    small.take(domain, "1", now_, policy(hours(1), std::string(60, 'm') + ".example"));
  }
  EXPECT_LT(small.domains(), 20U);
  EXPECT_GT(small.domains(), 10U);
  EXPECT_EQ(words(small.consult("d99", kNoRecord, now_)), "1");
}

TEST_F(StsStoreTest, SurvivesARestartAsText) {
  fetch("1", policy(hours(48)));
  fetch("2", policy(hours(1)), "b.example");
  fetch("3", policy(hours(48), "*.a.example"), "a.example");
  fetch("4", kBroken, "broken.example");
  const uint64_t version = store_.version();
  EXPECT_GT(version, 0U);
  now_ += hours(2);
  const std::string text = sts_file_text(store_.saved(now_));
  EXPECT_EQ(text,
            "{\"version\":1,\"policies\":[\n"
            "{\"domain\":\"a.example\",\"mode\":\"enforce\",\"mx\":[\"*.a.example\"],\"id\":\"3\","
            "\"fetched\":1800000000,\"max_age\":172800},\n"
            "{\"domain\":\"example.com\",\"mode\":\"enforce\",\"mx\":[\"mx.example.com\"],"
            "\"id\":\"1\",\"fetched\":1800000000,\"max_age\":172800}\n"
            "]}\n");

  const StatusOr<StsFile> file = parse_sts_file(text);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_EQ(file->policies, store_.saved(now_));
  EXPECT_EQ(file->left_out, 0U);
  StsStore next;
  next.restore(file->policies, now_);
  EXPECT_EQ(words(next.consult("example.com", id("1"), now_)), "1");
  EXPECT_EQ(words(next.consult("example.com", kNoRecord, now_)), "1");
  EXPECT_EQ(next.consult("a.example", kNoRecord, now_).policy->mx,
            std::vector<std::string>{"*.a.example"});
  now_ += hours(46);
  EXPECT_EQ(words(next.consult("example.com", kNoRecord, now_)), "-");

  StsStore late;
  late.restore(file->policies, now_);
  EXPECT_EQ(late.domains(), 0U) << "what is over is not taken";
}

TEST_F(StsStoreTest, RestoringBelievesNoFutureAndReplacesNothing) {
  fetch("9", policy(hours(1)));
  SavedStsPolicy future;
  future.domain = "future.example";
  future.policy.id = "1";
  future.policy.mode = StsMode::kNone;
  future.policy.fetched = now_ + hours(24 * 3'650);
  future.policy.max_age = hours(1);
  SavedStsPolicy known = future;
  known.domain = "example.com";
  store_.restore({future, known}, now_);
  EXPECT_EQ(store_.consult("future.example", kNoRecord, now_).policy->expires, now_ + hours(1));
  EXPECT_EQ(consult(kNoRecord), "9");
}

TEST(StsFileText, DamageIsToldOrLeftOut) {
  for (const char* text : {"", "{", "[]", "{}", "{\"version\":2,\"policies\":[]}",
                           "{\"version\":1}", "{\"version\":1,\"policies\":{}}", "\xFF"}) {
    EXPECT_FALSE(parse_sts_file(text).ok()) << text;
  }
  const std::string good =
      R"({"domain":"a.example","mode":"none","mx":[],"id":"1","fetched":1,"max_age":2})";
  const std::string bad[] = {
      "1",
      "{}",
      R"({"domain":"A.example","mode":"none","mx":[],"id":"1","fetched":1,"max_age":2})",
      R"({"domain":"","mode":"none","mx":[],"id":"1","fetched":1,"max_age":2})",
      R"({"domain":"a.example","mode":"some","mx":[],"id":"1","fetched":1,"max_age":2})",
      R"({"domain":"a.example","mode":"enforce","mx":[],"id":"1","fetched":1,"max_age":2})",
      R"({"domain":"a.example","mode":"none","mx":[1],"id":"1","fetched":1,"max_age":2})",
      R"({"domain":"a.example","mode":"none","mx":["*"],"id":"1","fetched":1,"max_age":2})",
      R"({"domain":"a.example","mode":"none","mx":"a","id":"1","fetched":1,"max_age":2})",
      R"({"domain":"a.example","mode":"none","mx":[],"id":"","fetched":1,"max_age":2})",
      R"({"domain":"a.example","mode":"none","mx":[],"id":"1","fetched":-1,"max_age":2})",
      R"({"domain":"a.example","mode":"none","mx":[],"id":"1","fetched":1e30,"max_age":2})",
      R"({"domain":"a.example","mode":"none","mx":[],"id":"1","fetched":1,"max_age":9000000000})",
      R"({"domain":"a.example","mode":"none","mx":[],"id":"1","fetched":1})",
  };
  for (const std::string& line : bad) {
    std::string text = R"({"version":1,"policies":[)";
    text.append(line).append(",").append(good).append("]}");
    const StatusOr<StsFile> file = parse_sts_file(text);
    ASSERT_TRUE(file.ok()) << line;
    EXPECT_EQ(file->left_out, 1U) << line;
    ASSERT_EQ(file->policies.size(), 1U) << line;
    EXPECT_EQ(file->policies[0].domain, "a.example");
  }
}

}  // namespace
}  // namespace sluice
