#include "resolver_cache/answer.h"

#include <gtest/gtest.h>

#include <string>

#include "resolver_cache/mx.h"

namespace resolver_cache {
namespace {

Message response(std::string name, RecordType type) {
  Query query;
  query.name = std::move(name);
  query.type = type;
  return response_to(query);
}

Soa soa_with_minimum(uint32_t minimum) {
  Soa soa;
  soa.minimum = minimum;
  return soa;
}

TEST(Interpret, PositiveTakesTheLeastTtlAndIgnoresOtherNames) {
  Message message = response("example.com", RecordType::kMx);
  message.authentic_data = true;
  message.answers = {make_mx("example.com", 300, 20, "b.org"),
                     make_mx("example.com", 200, 10, "a.org"),
                     make_mx("evil.com", 1, 0, "evil.org")};
  const Answer answer = interpret(message, "example.com", RecordType::kMx);
  EXPECT_EQ(answer.kind, AnswerKind::kPositive);
  EXPECT_TRUE(answer.secure);
  EXPECT_EQ(answer.ttl, 200U);
  ASSERT_EQ(answer.items.size(), 2U);
  EXPECT_EQ(answer.items[0].data, "a.org");
}

TEST(Interpret, RecordsOfOtherNamesAreNoNegativeAnswer) {
  Message message = response("example.com", RecordType::kMx);
  message.answers = {make_mx("evil.com", 300, 0, "evil.org")};
  Answer answer = interpret(message, "example.com", RecordType::kMx);
  EXPECT_EQ(answer.kind, AnswerKind::kFailed);
  EXPECT_EQ(answer.detail, "the answer holds records of other names");
  // Behind a CNAME the end of the chain is what was asked for.
  message = response("a.com", RecordType::kMx);
  message.answers = {make_cname("a.com", 300, "b.com"), make_a("b.com", 300, {1, 2, 3, 4})};
  EXPECT_EQ(interpret(message, "a.com", RecordType::kMx).kind, AnswerKind::kNoData);
  message.answers.push_back(make_a("c.com", 300, {1, 2, 3, 4}));
  EXPECT_EQ(interpret(message, "a.com", RecordType::kMx).kind, AnswerKind::kFailed);
}

TEST(Interpret, FollowsCnames) {
  Message message = response("a.com", RecordType::kA);
  message.answers = {make_a("c.com", 500, {1, 2, 3, 4}), make_cname("b.com", 30, "c.com"),
                     make_cname("a.com", 300, "b.com")};
  const Answer answer = interpret(message, "a.com", RecordType::kA);
  EXPECT_EQ(answer.kind, AnswerKind::kPositive);
  EXPECT_EQ(answer.canonical, "c.com");
  EXPECT_EQ(answer.ttl, 30U);
}

TEST(Interpret, CnameChainOf16AndOf17) {
  for (const int links : {16, 17}) {
    Message message = response("n0", RecordType::kA);
    for (int i = 0; i < links; ++i) {
      message.answers.push_back(
          make_cname("n" + std::to_string(i), 60, "n" + std::to_string(i + 1)));
    }
    message.answers.push_back(make_a("n" + std::to_string(links), 60, {1, 2, 3, 4}));
    const Answer answer = interpret(message, "n0", RecordType::kA);
    EXPECT_EQ(answer.kind, links == 16 ? AnswerKind::kPositive : AnswerKind::kFailed);
  }
}

TEST(Interpret, CnameLoopFails) {
  Message message = response("a.com", RecordType::kA);
  message.answers = {make_cname("a.com", 60, "b.com"), make_cname("b.com", 60, "a.com")};
  EXPECT_EQ(interpret(message, "a.com", RecordType::kA).kind, AnswerKind::kFailed);
}

TEST(Interpret, NegativeTtlIsTheLesserOfSoaTtlAndMinimum) {
  Message message = response("a.example.com", RecordType::kMx);
  message.rcode = Rcode::kNameError;
  message.authority = {make_soa("example.com", 900, soa_with_minimum(120))};
  Answer answer = interpret(message, "a.example.com", RecordType::kMx);
  EXPECT_EQ(answer.kind, AnswerKind::kNameError);
  EXPECT_EQ(answer.ttl, 120U);
  message.rcode = Rcode::kNoError;
  message.authority = {make_soa("example.com", 60, soa_with_minimum(120))};
  answer = interpret(message, "a.example.com", RecordType::kMx);
  EXPECT_EQ(answer.kind, AnswerKind::kNoData);
  EXPECT_EQ(answer.ttl, 60U);
  // The SOA of another zone says nothing.
  message.authority = {make_soa("ample.com", 60, soa_with_minimum(120))};
  EXPECT_EQ(interpret(message, "a.example.com", RecordType::kMx).ttl, 0U);
}

TEST(Interpret, FailuresSayWhy) {
  Message message = response("a.com", RecordType::kMx);
  message.rcode = Rcode::kServerFailure;
  EXPECT_EQ(interpret(message, "a.com", RecordType::kMx).detail, "the server answered SERVFAIL");
  message.rcode = Rcode::kNoError;
  EXPECT_EQ(interpret(message, "b.com", RecordType::kMx).kind, AnswerKind::kFailed);
  EXPECT_EQ(interpret(message, "a.com", RecordType::kA).kind, AnswerKind::kFailed);
  message.truncated = true;
  EXPECT_EQ(interpret(message, "a.com", RecordType::kMx).detail, "the answer was truncated");
}

TEST(Interpret, ReferralIsNoNegativeAnswer) {
  Message message = response("a.com", RecordType::kMx);
  Record ns;
  ns.name = "a.com";
  ns.type = RecordType::kNs;
  ns.data = "ns.a.com";
  message.authority = {ns};
  EXPECT_EQ(interpret(message, "a.com", RecordType::kMx).kind, AnswerKind::kFailed);
  message.authoritative = true;
  EXPECT_EQ(interpret(message, "a.com", RecordType::kMx).kind, AnswerKind::kNoData);
}

TEST(Mx, TidySortsDropsRepetitionsAndTheRoot) {
  std::vector<Item> records = {{20, "b"}, {10, "c"}, {10, "a"}, {5, "b"}, {0, ""}};
  tidy_mx(records);
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[0].data, "b");
  EXPECT_EQ(records[0].preference, 5);
  EXPECT_EQ(records[1].data, "a");
  EXPECT_EQ(records[2].data, "c");
}

TEST(Mx, NullMxStandsAlone) {
  std::vector<Item> records = {{0, ""}};
  tidy_mx(records);
  EXPECT_TRUE(is_null_mx(records));
  EXPECT_FALSE(is_null_mx({{0, ""}, {1, "a"}}));
  EXPECT_FALSE(is_null_mx({}));
}

TEST(Mx, The64BestOnesAndOneMore) {
  std::vector<Item> records;
  for (uint16_t i = 0; i < 100; ++i) {
    records.push_back({static_cast<uint16_t>(100 - i), "h" + std::to_string(i)});
  }
  tidy_mx(records);
  ASSERT_EQ(records.size(), kExchangersKept);
  ASSERT_EQ(kExchangersKept, kExchangersMax + 1);
  EXPECT_EQ(records.front().preference, 1);
  EXPECT_EQ(records[kExchangersMax - 1].preference, 64);
}

TEST(Mx, ShuffleStaysWithinEqualPreference) {
  std::vector<Item> hosts = {{1, "a"}, {2, "b"}, {2, "c"}, {2, "d"}, {3, "e"}};
  shuffle_equal_preference(hosts, [](size_t) { return size_t{0}; });
  EXPECT_EQ(hosts[0].data, "a");
  EXPECT_EQ(hosts[1].data, "c");
  EXPECT_EQ(hosts[2].data, "d");
  EXPECT_EQ(hosts[3].data, "b");
  EXPECT_EQ(hosts[4].data, "e");
}

}  // namespace
}  // namespace resolver_cache
