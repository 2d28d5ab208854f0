#include "engine/resolve/dane.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using resolver_cache::AnswerKind;

constexpr char kAddress[] = "\xC6\x29\x00\x04";

Finding finding(AnswerKind kind, bool secure) {
  Finding made;
  made.asked = true;
  made.kind = kind;
  made.secure = secure;
  if (kind == AnswerKind::kFailed) made.detail = "timed out at 127.0.0.1:53";
  return made;
}

Finding addresses(bool secure, std::string canonical = "") {
  Finding made = finding(AnswerKind::kPositive, secure);
  made.items.push_back({0, std::string(kAddress, 4)});
  made.canonical = std::move(canonical);
  return made;
}

HostFinding host(Finding ipv4, Finding ipv6 = {}) {
  return {"mx.example.com", 10, std::move(ipv4), std::move(ipv6)};
}

std::string rdata(int usage, int selector, int matching, const std::string& data) {
  std::string octets;
  for (const int number : {usage, selector, matching}) octets += static_cast<char>(number);
  return octets + data;
}

Finding records(bool secure, const std::vector<std::string>& all) {
  Finding made = finding(AnswerKind::kPositive, secure);
  for (const std::string& one : all) made.items.push_back({0, one});
  return made;
}

const std::string kSha256 = std::string(32, '\x11');
const std::string kSha512 = std::string(64, '\x22');

using Names = std::vector<std::string>;

struct PlanRow {
  const char* what;
  HostFinding host;
  Names bases;
  bool ask_alias = false;
  const char* detail = "";
};

TEST(TlsaPlan, ByTheAddressRecords) {
  const Finding none = finding(AnswerKind::kNoData, true);
  const Finding insecure_none = finding(AnswerKind::kNoData, false);
  const Finding failed = finding(AnswerKind::kFailed, false);
  Finding stale = addresses(true);
  stale.stale = true;
  const char* const insecure = "its address records are not secure";
  const PlanRow rows[] = {
      {"secure", host(addresses(true)), {"mx.example.com"}},
      {"both families", host(addresses(true), addresses(true)), {"mx.example.com"}},
      {"only IPv6 exists", host(none, addresses(true)), {"mx.example.com"}},
      {"the other family gives nothing", host(addresses(true), insecure_none), {"mx.example.com"}},
      {"the other family failed", host(addresses(true), failed), {"mx.example.com"}},
      {"insecure", host(addresses(false)), {}, false, insecure},
      {"one of two insecure", host(addresses(true), addresses(false)), {}, false, insecure},
      {"the first of two insecure", host(addresses(false), addresses(true)), {}, false, insecure},
      {"stale", host(stale), {}, false, "its address records are stale, which is never secure"},
      {"no address", host(none, none), {}, false, "it has no address"},
      {"not asked", host({}, {}), {}, false, "it has no address"},
      {"a secure alias",
       host(addresses(true, "real.example.net")),
       {"real.example.net", "mx.example.com"}},
      {"a secure alias of both families",
       host(addresses(true, "real.example.net"), addresses(true, "real.example.net")),
       {"real.example.net", "mx.example.com"}},
      {"the families disagree",
       host(addresses(true, "a.example.net"), addresses(true)),
       {"mx.example.com"}},
      {"an alias with insecure addresses", host(addresses(false, "real.example.net")), {}, true},
  };
  for (const PlanRow& row : rows) {
    const TlsaPlan plan = plan_tlsa(row.host, nullptr);
    EXPECT_EQ(plan.bases, row.bases) << row.what;
    EXPECT_EQ(plan.ask_alias, row.ask_alias) << row.what;
    EXPECT_EQ(plan.detail, row.detail) << row.what;
    EXPECT_EQ(plan.state, DaneState::kNotAsked) << row.what;
  }
}

// An alias that is secure itself is looked for under its own name, wherever it leads.
TEST(TlsaPlan, ByTheAliasWhereTheTargetIsInsecure) {
  const HostFinding alias_host = host(addresses(false, "real.example.net"));
  Finding alias = finding(AnswerKind::kPositive, true);
  TlsaPlan plan = plan_tlsa(alias_host, &alias);
  EXPECT_EQ(plan.bases, Names{"mx.example.com"});
  EXPECT_FALSE(plan.ask_alias);

  for (const AnswerKind kind : {AnswerKind::kPositive, AnswerKind::kNoData}) {
    alias = finding(kind, false);
    plan = plan_tlsa(alias_host, &alias);
    EXPECT_TRUE(plan.bases.empty());
    EXPECT_FALSE(plan.ask_alias);
    EXPECT_EQ(plan.state, DaneState::kNotAsked);
  }
  alias = finding(AnswerKind::kFailed, false);
  plan = plan_tlsa(alias_host, &alias);
  EXPECT_TRUE(plan.bases.empty());
  EXPECT_EQ(plan.state, DaneState::kFailed);
  EXPECT_EQ(plan.detail,
            "whether the alias mx.example.com is secure cannot be learnt: timed out at "
            "127.0.0.1:53");
}

struct AnswerRow {
  const char* what;
  Finding finding;
  DaneState state;
  size_t used = 0;
};

TEST(TlsaAnswer, StateByState) {
  const std::string good = rdata(3, 1, 1, kSha256);
  const std::string bad = rdata(0, 1, 1, kSha256);
  Finding stale = records(true, {good});
  stale.stale = true;
  const AnswerRow rows[] = {
      {"secure records", records(true, {good}), DaneState::kRecords, 1},
      {"some can be used", records(true, {bad, good, bad}), DaneState::kRecords, 1},
      {"several", records(true, {good, rdata(2, 0, 2, kSha512)}), DaneState::kRecords, 2},
      {"one twice", records(true, {good, good}), DaneState::kRecords, 1},
      {"none can be used", records(true, {bad, bad}), DaneState::kUnusable},
      {"insecure records", records(false, {good}), DaneState::kAbsent},
      {"stale records", stale, DaneState::kAbsent},
      {"secure denial", finding(AnswerKind::kNoData, true), DaneState::kAbsent},
      {"secure denial of the name", finding(AnswerKind::kNameError, true), DaneState::kAbsent},
      {"insecure denial", finding(AnswerKind::kNoData, false), DaneState::kAbsent},
      {"failed", finding(AnswerKind::kFailed, false), DaneState::kFailed},
      {"failed, whatever else", finding(AnswerKind::kFailed, true), DaneState::kFailed},
  };
  for (const AnswerRow& row : rows) {
    const TlsaVerdict verdict = judge_tlsa(row.finding);
    EXPECT_EQ(verdict.state, row.state) << row.what;
    EXPECT_EQ(verdict.tlsa.size(), row.used) << row.what;
    EXPECT_EQ(verdict.detail.empty(), row.state == DaneState::kRecords) << row.what;
  }
  EXPECT_EQ(judge_tlsa(finding(AnswerKind::kFailed, false)).detail,
            "the TLSA lookup failed: timed out at 127.0.0.1:53");
}

TEST(TlsaAnswer, LooksAtABoundedNumberOfRecords) {
  std::vector<std::string> all;
  for (size_t i = 0; i < kTlsaUsedMax + 1; ++i) {
    std::string digest = kSha256;
    digest[0] = static_cast<char>(i);
    all.push_back(rdata(3, 1, 1, digest));
  }
  EXPECT_EQ(judge_tlsa(records(true, all)).tlsa.size(), kTlsaUsedMax);
}

struct RecordRow {
  int usage;
  int selector;
  int matching;
  std::string data;
  bool usable;
};

TEST(TlsaRecord, WhichCanBeUsed) {
  const std::string small = std::string("\x30\x03") + "abc";
  const std::string middle = std::string("\x30\x81\x80") + std::string(128, 'x');
  const std::string large = std::string("\x30\x82\x01\x00", 4) + std::string(256, 'x');
  const RecordRow rows[] = {
      {3, 1, 1, kSha256, true},
      {3, 0, 1, kSha256, true},
      {3, 1, 2, kSha512, true},
      {2, 0, 1, kSha256, true},
      {2, 1, 2, kSha512, true},
      {3, 1, 0, small, true},
      {3, 0, 0, middle, true},
      {2, 0, 0, large, true},
      {0, 1, 1, kSha256, false},
      {1, 1, 1, kSha256, false},
      {4, 1, 1, kSha256, false},
      {255, 1, 1, kSha256, false},
      {3, 2, 1, kSha256, false},
      {3, 255, 1, kSha256, false},
      {3, 1, 3, kSha256, false},
      {3, 1, 255, kSha256, false},
      {3, 1, 1, kSha512, false},
      {3, 1, 1, kSha256.substr(1), false},
      {3, 1, 1, kSha256 + "x", false},
      {3, 1, 2, kSha256, false},
      {3, 1, 0, "", false},
      {3, 1, 1, "", false},
      {3, 1, 0, small + "x", false},
      {3, 1, 0, small.substr(0, 4), false},
      {3, 1, 0, "\x30", false},
      {3, 1, 0, "x" + small, false},
      {3, 1, 0, std::string("\x30\x80", 2) + "abc", false},
      {3, 1, 0, std::string("\x30\x85\x01\x02\x03\x04\x05"), false},
      {3, 1, 0, std::string("\x30\x84\xFF\xFF\xFF\xFF") + "abc", false},
      {3, 1, 0, std::string("\x30\x82\x01"), false},
  };
  for (size_t i = 0; i < std::size(rows); ++i) {
    const RecordRow& row = rows[i];
    const std::string octets = rdata(row.usage, row.selector, row.matching, row.data);
    const std::optional<TlsaRecord> record = usable_tlsa(octets);
    ASSERT_EQ(record.has_value(), row.usable) << "row " << i;
    if (!record) continue;
    EXPECT_EQ(record->usage, row.usage);
    EXPECT_EQ(record->selector, row.selector);
    EXPECT_EQ(record->matching, row.matching);
    EXPECT_EQ(record->data, row.data);
  }
  for (const char* cut : {"", "\3", "\3\1", "\3\1\1"}) EXPECT_FALSE(usable_tlsa(cut));
}

TEST(TlsaRecord, ForPeople) {
  EXPECT_EQ(tlsa_text(rdata(3, 1, 1, "\x01\xAB")), "3 1 1 01ab");
  std::string shown;
  for (int i = 0; i < 64; ++i) shown += "61";
  EXPECT_EQ(tlsa_text(rdata(2, 0, 0, std::string(64, 'a'))), "2 0 0 " + shown);
  EXPECT_EQ(tlsa_text(rdata(2, 0, 0, std::string(65, 'a'))), "2 0 0 " + shown + "...");
  EXPECT_EQ(tlsa_text("\x03\x01"), "0301");
  EXPECT_EQ(tlsa_text(""), "");
}

TEST(TlsaNames, WhatTheCertificateMayName) {
  Finding mx = finding(AnswerKind::kPositive, true);
  EXPECT_EQ(tlsa_names("mx.example.com", "example.com", mx),
            (Names{"mx.example.com", "example.com"}));
  mx.canonical = "example.net";
  EXPECT_EQ(tlsa_names("mx.example.com", "example.com", mx),
            (Names{"mx.example.com", "example.com", "example.net"}));
  mx.secure = false;
  EXPECT_EQ(tlsa_names("mx.example.com", "example.com", mx),
            (Names{"mx.example.com", "example.com"}));
  EXPECT_EQ(tlsa_names("example.com", "example.com", mx), Names{"example.com"});
}

TEST(TlsaNames, WhereToAsk) {
  EXPECT_EQ(tlsa_name(25, "mx.example.com"), "_25._tcp.mx.example.com");
  EXPECT_EQ(tlsa_name(2525, "a"), "_2525._tcp.a");
  std::string longest;
  while (longest.size() < 250) longest += "a.";
  EXPECT_FALSE(tlsa_name(25, longest + "a"));
}

}  // namespace
}  // namespace sluice
