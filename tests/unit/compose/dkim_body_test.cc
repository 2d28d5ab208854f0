// The relaxed body, whole and in pieces, against a plain implementation of RFC 6376 §3.4.4.
#include "engine/compose/dkim_body.h"

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "tests/unit/compose/dkim_verify.h"

namespace sluice {
namespace {

using testing::from_base64;
using testing::plain_relaxed_body;
using testing::sha256_text;

std::string hash_of(BodyHash& hash) {
  const Sha256 digest = hash.finish();
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string hashed(std::string_view body) {
  BodyHash hash;
  hash.add(body);
  return hash_of(hash);
}

TEST(DkimBody, TheExamplesOfTheRfcs) {
  // RFC 6376 §3.4.5.
  EXPECT_EQ(hashed(" C \r\nD \t E\r\n\r\n\r\n"), sha256_text(" C\r\nD E\r\n"));
  // RFC 8463 §A.3.
  EXPECT_EQ(hashed("Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"),
            from_base64("2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="));
  // RFC 6376 §3.4.4: an empty body.
  for (const char* body : {"", "\r\n", "\r\n\r\n", " \t\r\n \r\n"}) {
    EXPECT_EQ(hashed(body), from_base64("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")) << body;
  }
}

TEST(DkimBody, EdgesOfLinesAndPieces) {
  EXPECT_EQ(hashed("a"), sha256_text("a\r\n"));
  EXPECT_EQ(hashed("a \t"), sha256_text("a\r\n"));
  EXPECT_EQ(hashed("\r\n\r\na"), sha256_text("\r\n\r\na\r\n"));
  EXPECT_EQ(hashed("\r\n  a"), sha256_text("\r\n a\r\n"));
  EXPECT_EQ(hashed("a\rb\r"), sha256_text("a\rb\r\r\n"));
  EXPECT_EQ(hashed("a \rb"), sha256_text("a \rb\r\n"));
  EXPECT_EQ(hashed("a\nb\n"), sha256_text("a\nb\n\r\n"));
}

// Blanks, line ends, dots, words and long words in any order.
std::string some_body(Random& random, size_t parts) {
  static const std::string kParts[] = {" ",   "\t", "\r\n",     "\r\n",
                                       ".",   "..", "word",     "\xC3\xA9",
                                       "=3D", "  ", "\r\n\r\n", std::string(300, 'x')};
  std::string out;
  for (size_t i = 0; i < parts; ++i) out += kParts[random.below(std::size(kParts))];
  return out;
}

TEST(DkimBody, AnyCutIntoPiecesGivesTheSame) {
  Random random(20'261'123);
  for (int i = 0; i < 2'000; ++i) {
    const std::string body = some_body(random, random.below(40));
    const std::string expected = sha256_text(plain_relaxed_body(body));
    BodyHash hash;
    size_t at = 0;
    while (at < body.size()) {
      const size_t count = std::min<size_t>(1 + random.below(9), body.size() - at);
      const std::string_view piece = std::string_view(body).substr(at, count);
      if (random.below(2) == 0) {
        hash.add(piece);
      } else {
        hash.add(make_dkim_literal(body, at, count), piece.data());
      }
      at += count;
    }
    ASSERT_EQ(hash_of(hash), expected) << escaped(body);
  }
}

TEST(DkimBody, ResumesFromASharedState) {
  Random random(7);
  for (int i = 0; i < 500; ++i) {
    const std::string shared = some_body(random, random.below(20));
    BodyHash state;
    state.add(shared);
    state.settle();
    for (int row = 0; row < 2; ++row) {
      const std::string rest = some_body(random, random.below(20));
      BodyHash hash;
      hash.resume(state, false);
      hash.add(rest);
      ASSERT_EQ(hash_of(hash), sha256_text(plain_relaxed_body(shared + rest)))
          << escaped(shared) << " | " << escaped(rest);
    }
  }
}

TEST(DkimBody, TheTransportsDotsAreNotHashed) {
  BodyHash hash;
  hash.start(true);
  hash.add("..a\r\n.");
  hash.add(".b\r\nc.\r\n");
  const std::string literal = ".d e\r\n";
  hash.add(".");
  hash.add(make_dkim_literal(literal, 0, literal.size()), literal.data());
  EXPECT_EQ(hash_of(hash), sha256_text(".a\r\n.b\r\nc.\r\n.d e\r\n"));
}

}  // namespace
}  // namespace sluice
