// Signatures of messages put together by hand, checked by the plain verifier of dkim_verify.h.
#include "engine/compose/dkim_signer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/compose/dkim_verify.h"

namespace sluice {
namespace {

using testing::all_octets;
using ::testing::HasSubstr;
using testing::new_key;
using testing::Signature;
using testing::unstuffed;
using testing::verify;

constexpr std::string_view kHeaders =
    "Date: Sun, 22 Nov 2026 10:51:07 +0000\r\n"
    "From: \"Example  News\"\r\n <news@Example.com>\r\n"
    "To: zoe@example.net\r\n"
    "subject :  a \t b\r\n \t c \r\n"
    "X-Other: not signed\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "\r\n";

class DkimSignerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    rsa = new_key("example.com", "r", DkimAlgorithm::kRsaSha256);
    ed25519 = new_key("example.com", "e", DkimAlgorithm::kEd25519Sha256);
    all = {rsa, ed25519};
    auto made = std::make_shared<DkimKeys>();
    made->add(rsa);
    made->add(ed25519);
    keys = made;
  }

  // Headers, then a body of `parts`: constant ones, and every second one a row's.
  void compile(const std::vector<std::string>& parts, std::string_view headers = kHeaders,
               std::string_view domain = "example.com") {
    literals = headers;
    plan = {};
    for (size_t i = 0; i < parts.size(); i += 2) {
      plan.pieces.push_back({literals.size(), parts[i].size()});
      literals += parts[i];
    }
    plan.literals = literals;
    plan.shared_pieces = 1;
    plan.constant = parts.size() == 1;
    header_bytes = headers.size();
    signer = DkimSigner::make(keys, domain, plan);
  }

  std::string sign(const std::vector<std::string>& parts, bool stuffed = false) {
    buffer.clear();
    buffer.append_constant(std::string_view(literals).substr(0, header_bytes));
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i % 2 == 1) {
        buffer.append(parts[i]);
      } else {
        const DkimPlan::Piece& piece = plan.pieces[i / 2];
        buffer.append_constant(std::string_view(literals).substr(piece.offset, piece.length));
      }
    }
    reply = signer->sign(from_unix_seconds(1'796'115'667), stuffed, buffer);
    const std::string text = all_octets(buffer);
    EXPECT_EQ(text.size(), buffer.bytes());
    return stuffed ? unstuffed(text) : text;
  }

  static std::string whys(const std::vector<Signature>& signatures) {
    std::string out;
    for (const Signature& each : signatures) out += each.tags.at("s") + ":" + each.why + ";";
    return out;
  }

  DkimKeyPtr rsa;
  DkimKeyPtr ed25519;
  std::vector<DkimKeyPtr> all;
  std::shared_ptr<const DkimKeys> keys;
  std::string literals;
  DkimPlan plan;
  size_t header_bytes = 0;
  std::unique_ptr<const DkimSigner> signer;
  MessageBuffer buffer;
  Reply reply;
};

const std::vector<std::string> kParts = {std::string(400, 'x') + "  two\r\n \r\n", "value  =3D",
                                         "\t end \r\n" + std::string(300, 'y'), " v",
                                         "\r\n  \r\n\r\n"};

TEST_F(DkimSignerTest, EveryKeyOfTheDomainSigns) {
  compile(kParts);
  const std::string text = sign(kParts);
  EXPECT_FALSE(reply.enhanced.present()) << reply.text;
  const auto signatures = verify(text, all);
  EXPECT_EQ(whys(signatures), "e:;r:;");
  ASSERT_EQ(signatures.size(), 2U);
  auto tags = signatures[1].tags;
  EXPECT_EQ(tags["v"], "1");
  EXPECT_EQ(tags["a"], "rsa-sha256");
  EXPECT_EQ(tags["c"], "relaxed/relaxed");
  EXPECT_EQ(tags["d"], "example.com");
  EXPECT_EQ(tags["t"], "1796115667");
  EXPECT_EQ(tags["h"],
            "From:From:To:To:Cc:Subject:Subject:Date:Date:Reply-To:Message-ID:MIME-Version:"
            "MIME-Version:Content-Type:Content-Type:Content-Transfer-Encoding:List-Unsubscribe:"
            "List-Unsubscribe-Post");
  EXPECT_EQ(tags.count("x") + tags.count("i") + tags.count("l"), 0U);
  EXPECT_EQ(signatures[0].tags.at("a"), "ed25519-sha256");
}

TEST_F(DkimSignerTest, ListIdIsSignedAsOftenAsItOccurs) {
  const std::string headers =
      "List-ID: <a.example.com>\r\nFeedback-ID: a:b\r\n" + std::string(kHeaders);
  compile(kParts, headers);
  const auto signatures = verify(sign(kParts), all);
  EXPECT_EQ(whys(signatures), "e:;r:;");
  EXPECT_THAT(signatures.at(0).tags.at("h"),
              ::testing::EndsWith("List-Unsubscribe-Post:List-ID:Feedback-ID"));
}

TEST_F(DkimSignerTest, LinesStayShort) {
  compile(kParts);
  const std::string text = sign(kParts);
  for (const std::string_view line : split(text.substr(0, text.find("Date:")), '\n')) {
    EXPECT_LE(line.size(), 77U) << line;
  }
}

TEST_F(DkimSignerTest, WhateverIsChangedBreaksBoth) {
  compile(kParts);
  const std::string text = sign(kParts);
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string other = text;
    other.replace(other.find(from), from.size(), to);
    return whys(verify(other, all));
  };
  const std::string broken = "e:signature;r:signature;";
  EXPECT_EQ(changed("value", "valve"), "e:body hash;r:body hash;");
  EXPECT_EQ(changed("zoe@", "zoa@"), broken);
  EXPECT_EQ(changed("X-Other: not", "X-Other: now"), "e:;r:;");
  EXPECT_EQ(changed("X-Other:", "Subject: another\r\nX-Other:"), broken);
  for (const char* name : {"From", "To", "Cc", "Subject", "Date", "Reply-To", "Message-ID",
                           "Content-Type", "List-Unsubscribe", "List-Unsubscribe-Post"}) {
    EXPECT_EQ(whys(verify(std::string(name) + ": x@example.org\r\n" + text, all)), broken) << name;
  }
}

TEST_F(DkimSignerTest, RowsShareWhatStandsBeforeTheFirstField) {
  compile(kParts);
  for (const bool stuffed : {false, true, false}) {
    for (const char* value : {"", "a", "  b  ", "=0D\r\n\r\n"}) {
      std::vector<std::string> parts = kParts;
      parts[1] = value;
      EXPECT_EQ(whys(verify(sign(parts, stuffed), all)), "e:;r:;") << value;
    }
  }
}

TEST_F(DkimSignerTest, ABodyWithoutFieldsIsHashedOnce) {
  for (const char* body : {"", "\r\n", "one  line \r\n", "no end"}) {
    compile({body});
    EXPECT_EQ(whys(verify(sign({body}), all)), "e:;r:;") << body;
  }
}

TEST_F(DkimSignerTest, TheTransportsDotsAreNoPartOfWhatIsSigned) {
  const std::vector<std::string> parts = {"..a\r\n", "b\r\n..", "..\r\n"};
  compile(parts);
  plan.shared_pieces = 0;
  signer = DkimSigner::make(keys, "example.com", plan);
  EXPECT_EQ(whys(verify(sign(parts, true), all)), "e:;r:;");
  compile({".a\r\n"});
  buffer.clear();
  buffer.append(kHeaders);
  buffer.append("..a\r\n");
  plan.shared_dots = 1;
  signer = DkimSigner::make(keys, "example.com", plan);
  EXPECT_FALSE(signer->sign(from_unix_seconds(1), true, buffer).enhanced.present());
  EXPECT_EQ(whys(verify(unstuffed(all_octets(buffer)), all)), "e:;r:;");
}

TEST_F(DkimSignerTest, ExpiryAndIdentityAreTagsOfTheirKey) {
  DkimEntry entry = ed25519->entry();
  entry.domain = "example.org";
  entry.identity = "@news.example.org";
  entry.expire = std::chrono::hours(24);
  auto pem = generate_dkim_key(DkimAlgorithm::kEd25519Sha256, 0);
  ASSERT_TRUE(pem.ok());
  const auto key = DkimKey::parse(entry, *pem);
  ASSERT_TRUE(key.ok());
  auto made = std::make_shared<DkimKeys>();
  made->add(*key);
  keys = made;
  compile(kParts, kHeaders, "shop.example.org");
  const auto signatures = verify(sign(kParts), {*key});
  ASSERT_EQ(whys(signatures), "e:;");
  EXPECT_EQ(signatures[0].tags.at("i"), "@news.example.org");
  EXPECT_EQ(signatures[0].tags.at("x"), "1796202067");
  EXPECT_EQ(signatures[0].tags.at("d"), "example.org");
}

TEST_F(DkimSignerTest, AFromThatDiffersByRowFindsItsKeyOrIsRefused) {
  compile(kParts, kHeaders, "");
  ASSERT_NE(signer, nullptr);
  EXPECT_EQ(whys(verify(sign(kParts), all)), "e:;r:;");
  std::string other(kHeaders);
  other.replace(other.find("Example.com"), 11, "example.org");
  compile(kParts, other, "");
  sign(kParts);
  EXPECT_EQ(reply.code, 0);
  EXPECT_EQ(reply.enhanced, (EnhancedCode{5, 7, 0}));
  EXPECT_THAT(reply.text, HasSubstr("no DKIM key"));
}

TEST_F(DkimSignerTest, WithoutAKeyNothingSigns) {
  EXPECT_EQ(DkimSigner::make(nullptr, "", {}), nullptr);
  EXPECT_EQ(DkimSigner::make(std::make_shared<DkimKeys>(), "", {}), nullptr);
  EXPECT_EQ(DkimSigner::make(keys, "example.org", {}), nullptr);
}

TEST_F(DkimSignerTest, AddsNoMoreThanItSays) {
  compile(kParts);
  const size_t plain = header_bytes + [] {
    size_t sum = 0;
    for (const std::string& part : kParts) sum += part.size();
    return sum;
  }();
  EXPECT_LE(sign(kParts).size() - plain, signer->bytes_max());
}

}  // namespace
}  // namespace sluice
