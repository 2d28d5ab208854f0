#include "engine/spool/suppression.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/base/digest.h"
#include "engine/spool/address.h"

namespace sluice {
namespace {

struct Read {
  std::vector<Hash128> keys;
  SuppressList::Position position;
  SuppressKinds kinds;  // with a last line without an end
};

Read read(std::string_view octets, size_t piece = SIZE_MAX) {
  Read out;
  SuppressList list;
  for (std::string_view rest = octets; !rest.empty();
       rest.remove_prefix(std::min(piece, rest.size()))) {
    list.feed(rest.substr(0, piece), out.keys);
  }
  out.position = list.position();
  out.kinds = out.position.kinds;
  list.end(out.keys, out.kinds);
  return out;
}

SuppressionSet set_of(std::string_view octets) {
  Read lists = read(octets);
  SuppressionSet::Sorted sorted;
  sorted.keys = lists.keys;
  std::sort(sorted.keys.begin(), sorted.keys.end(), hash_less);
  if (!sorted.keys.empty()) {
    const auto filter = std::make_shared<HashFilter>(sorted.keys.size(), 1UL << 20);
    for (const Hash128& key : sorted.keys) filter->insert(key);
    sorted.filter = filter;
  }
  return {lists.kinds, std::move(sorted), {}};
}

bool is_suppressed(const SuppressionSet& set, std::string_view given) {
  std::string scratch;
  const AddressResult parsed = parse_address(given, scratch);
  EXPECT_TRUE(parsed.ok()) << given;
  SuppressionSet::Keys unsure;
  const auto answer = set.ask(set.keys_of(parsed.address.address, parsed.address.domain), unsure);
  EXPECT_NE(answer, SuppressionSet::Answer::kUnsure);
  return answer == SuppressionSet::Answer::kSuppressed;
}

TEST(Suppression, AnAddressInWhateverCase) {
  const SuppressionSet set = set_of("Anna.Maria@Example.COM\n");
  EXPECT_TRUE(is_suppressed(set, "anna.maria@example.com"));
  EXPECT_TRUE(is_suppressed(set, "ANNA.Maria@example.com"));
  EXPECT_TRUE(is_suppressed(set, "  Anna.Maria@EXAMPLE.com "));
  EXPECT_FALSE(is_suppressed(set, "anna.mari@example.com"));
  EXPECT_FALSE(is_suppressed(set, "anna.maria@mail.example.com"));
}

TEST(Suppression, ADomainButNotWhatLiesUnderIt) {
  const SuppressionSet set = set_of("@Example.com\n@[192.0.2.1]\n");
  EXPECT_TRUE(is_suppressed(set, "anybody@example.com"));
  EXPECT_TRUE(is_suppressed(set, "Anybody@EXAMPLE.COM"));
  EXPECT_FALSE(is_suppressed(set, "anybody@mail.example.com"));
  EXPECT_FALSE(is_suppressed(set, "anybody@notexample.com"));
  EXPECT_TRUE(is_suppressed(set, "anybody@[192.0.2.1]"));
}

TEST(Suppression, DomainsAreComparedAsALabels) {
  const SuppressionSet set = set_of(
      "@b\xC3\xBC"
      "cher.example\nx@m\xC3\xBCller.example\n");
  EXPECT_TRUE(is_suppressed(set, "anybody@xn--bcher-kva.example"));
  EXPECT_TRUE(is_suppressed(set,
                            "anybody@B\xC3\xBC"
                            "cher.example"));
  EXPECT_TRUE(is_suppressed(set, "X@xn--mller-kva.example"));
}

TEST(Suppression, ADigestOfTheAddressInSmallLetters) {
  const std::string hex = to_hex(sha256("anna@example.com"));
  EXPECT_EQ(hex.size(), 64U);
  for (const std::string& line : {hex, " " + hex + "\t"}) {
    const SuppressionSet set = set_of(line + "\r\n");
    EXPECT_TRUE(is_suppressed(set, "anna@example.com"));
    EXPECT_TRUE(is_suppressed(set, "Anna@Example.com"));
    EXPECT_FALSE(is_suppressed(set, "anne@example.com"));
  }
  std::string upper = hex;
  for (char& c : upper) c = c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c;
  EXPECT_TRUE(is_suppressed(set_of(upper + "\n"), "anna@example.com"));
  const SuppressionSet idn = set_of(to_hex(sha256("anna@xn--bcher-kva.example")) + "\n");
  EXPECT_TRUE(is_suppressed(idn,
                            "Anna@b\xC3\xBC"
                            "cher.example"));
}

TEST(Suppression, LettersOutsideAsciiAreComparedAsTheyAre) {
  const SuppressionSet set = set_of("\xC3\x84rger@example.com\n");
  EXPECT_TRUE(is_suppressed(set, "\xC3\x84RGER@example.com"));
  EXPECT_FALSE(is_suppressed(set, "\xC3\xA4rger@example.com"));
}

TEST(Suppression, AnEmptySetHoldsNobody) {
  const SuppressionSet set;
  EXPECT_EQ(set.keys_of("a@example.com", "example.com").count, 0U);
  EXPECT_FALSE(is_suppressed(set, "a@example.com"));
}

TEST(Suppression, AsksOnlyForKindsThatAreThere) {
  EXPECT_EQ(set_of("a@example.com\n").keys_of("a@b.c", "b.c").count, 1U);
  EXPECT_EQ(set_of("@example.com\n").keys_of("a@b.c", "b.c").count, 1U);
  EXPECT_EQ(set_of("a@example.com\n@example.com\n" + std::string(64, '0') + "\n")
                .keys_of("a@b.c", "b.c")
                .count,
            3U);
}

TEST(Suppression, WhatTheRunsFilterLetsThroughIsUnsure) {
  const auto filter = std::make_shared<HashFilter>(100, 1UL << 20);
  filter->insert(suppress_key_of_domain("example.com"));
  const SuppressionSet set({true, true, false}, {}, {{}, filter});
  SuppressionSet::Keys unsure;
  const auto keys = set.keys_of("a@example.com", "example.com");
  EXPECT_EQ(set.ask(keys, unsure), SuppressionSet::Answer::kUnsure);
  ASSERT_EQ(unsure.count, 1U);
  EXPECT_EQ(unsure.hashes[0], suppress_key_of_domain("example.com"));
  EXPECT_EQ(set.ask(set.keys_of("a@other.example", "other.example"), unsure),
            SuppressionSet::Answer::kClear);
  EXPECT_EQ(unsure.count, 0U);
}

TEST(SuppressList, PassesByWhatSaysNothing) {
  const Read got = read("\xEF\xBB\xBF# unsubscribed\r\n\r\n  \t\na@example.com\r\n #x\n");
  EXPECT_EQ(got.keys, std::vector<Hash128>{suppress_key_of_address("a@example.com")});
  EXPECT_EQ(got.position.lines, 5U);
  EXPECT_EQ(got.position.bad, 0U);
}

TEST(SuppressList, AByteOrderMarkBeforeAnEntry) {
  const std::vector<Hash128> expected = {suppress_key_of_address("a@example.com")};
  EXPECT_EQ(read("\xEF\xBB\xBF"
                 "a@example.com\n")
                .keys,
            expected);
  EXPECT_EQ(read("\xEF\xBB\xBF"
                 "a@example.com")
                .keys,
            expected);
}

TEST(SuppressList, CountsWhatIsNoEntry) {
  const Read got =
      read("a@example.com\nnonsense\n@\n@exa mple\n" + std::string(63, 'a') + "\nb@example.com\n");
  EXPECT_EQ(got.keys.size(), 2U);
  EXPECT_EQ(got.position.bad, 4U);
  EXPECT_EQ(got.position.first_bad_line, 2U);
}

TEST(SuppressList, ALineThatIsTooLongIsPassedBy) {
  for (const size_t piece : {size_t{100}, SIZE_MAX}) {
    const std::string octets = std::string(kSuppressLineMax + 1, 'x') + "\na@example.com\n";
    const Read got = read(octets, piece);
    EXPECT_EQ(got.keys.size(), 1U);
    EXPECT_EQ(got.position.bad, 1U);
    EXPECT_EQ(got.position.lines, 2U);
    EXPECT_EQ(got.position.bytes, octets.size());
  }
}

TEST(SuppressList, PiecesOfAnySizeSayTheSame) {
  const std::string octets =
      "\xEF\xBB\xBF"
      "a@example.com\r\n@example.org\n\nbad\n" +
      std::string(64, 'f') + "\nb@c.example";
  const Read whole = read(octets);
  EXPECT_EQ(whole.keys.size(), 4U);
  EXPECT_EQ(whole.position.bytes, octets.size() - 11);
  for (size_t piece = 1; piece < octets.size(); ++piece) {
    const Read got = read(octets, piece);
    ASSERT_EQ(got.keys, whole.keys) << piece;
    ASSERT_EQ(got.position.bytes, whole.position.bytes) << piece;
    ASSERT_EQ(got.position.bad, 1U) << piece;
    ASSERT_EQ(got.position.first_bad_line, 4U) << piece;
    ASSERT_EQ(got.kinds, whole.kinds) << piece;
  }
}

TEST(SuppressList, GoesOnBehindTheLastWholeLine) {
  const std::string octets = "a@example.com\nb@exam";
  const Read first = read(octets);
  SuppressList list(first.position);
  std::vector<Hash128> keys;
  list.feed(std::string("b@example.com\n"), keys);
  EXPECT_EQ(keys, std::vector<Hash128>{suppress_key_of_address("b@example.com")});
  EXPECT_EQ(list.position().lines, 2U);
  EXPECT_EQ(list.position().bytes, 28U);
}

}  // namespace
}  // namespace sluice
