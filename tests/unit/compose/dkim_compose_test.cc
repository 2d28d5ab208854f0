// Templates of all kinds, composed and signed, checked by the plain verifier of dkim_verify.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/compose/decode.h"
#include "tests/unit/compose/dkim_verify.h"

namespace sluice {
namespace {

using testing::all_octets;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::new_key;
using testing::Signature;
using testing::unstuffed;
using testing::verify;

class DkimComposeTest : public testing::ComposeTest {
 protected:
  void SetUp() override {
    key = new_key("example.com", "e", DkimAlgorithm::kEd25519Sha256);
    auto made = std::make_shared<DkimKeys>();
    made->add(key);
    input.dkim_keys = made;
    input.text = "Hello {{name}}\n";
  }

  // Empty when the row's message is signed once and the signature is good, in both forms.
  std::string wrong_with(std::string_view name, std::string_view x) {
    for (const bool stuffed : {true, false}) {
      fill_row(name, x);
      const ComposeResult result =
          message->compose(row, {from_unix_seconds(1'796'115'667), stuffed}, buffer);
      if (!result.ok()) return "refused: " + result.refusal.text;
      if (buffer.bytes() > message->size_estimate(row)) return "larger than said";
      const std::string text = all_octets(buffer);
      const auto signatures = verify(stuffed ? unstuffed(text) : text, {key});
      if (signatures.size() != 1) return std::to_string(signatures.size()) + " signatures";
      if (!signatures[0].why.empty()) return signatures[0].why + "\n" + text;
    }
    return {};
  }

  DkimKeyPtr key;
};

TEST_F(DkimComposeTest, EveryNastyValueIsSigned) {
  spec.message.html = "body.html";
  spec.headers = {{"List-ID", "<{{job}}.example.com>"},
                  {"List-Unsubscribe", "<https://e.example/{{row}}>"}};
  input.text =
      ".dot  first\n..\n{{name}}  {{x}}\n.{{x}}\n{{#x}}\nyes  {{.}}\n{{/x}}\n{{^x}}no{{/x}}\n\n\n";
  input.html =
      std::string(600, 'x') + "<p>{{x}}</p>\n.\n" + std::string(900, 'y') + "{{{name}}}  \n\n";
  compile();
  for (const std::string& value : testing::nasty_values()) {
    if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) continue;
    EXPECT_EQ(wrong_with(value, value), "") << escaped(value.substr(0, 80));
  }
}

TEST_F(DkimComposeTest, ASharedMessageIsSigned) {
  spec.subject = "To all";
  input.text = std::string(3'000, 'x') + "\n.  the same\n\n\n";
  compile();
  EXPECT_EQ(wrong_with("a", "b"), "");
}

TEST_F(DkimComposeTest, AWholeMessageIsSigned) {
  spec.subject = {};
  spec.message.text = {};
  spec.message.eml = "message.eml";
  for (const char* eml :
       {"Subject: a  {{name}}\nContent-Type: text/plain; charset=utf-8\n\nb  \n.\n c {{x}}  \n\n\n",
        "Subject: no body\n\n", "Subject:  constant\n X\n\n \n\n.b\n"}) {
    input.eml = eml;
    compile();
    EXPECT_EQ(wrong_with("Zo\xC3\xAB", "  x  "), "") << eml;
  }
}

TEST_F(DkimComposeTest, TheDomainOfFromDecides) {
  const auto first_signed = [this] {
    compile();
    fill_row("news", "shop.example.com");
    EXPECT_TRUE(message->compose(row, {}, buffer).ok());
    return verify(unstuffed(all_octets(buffer)), {key}).size();
  };
  spec.envelope_sender = "bounce@example.com";
  for (const char* from : {"News <news@EXAMPLE.com>", "a@b.news.example.com",
                           "{{name}}@example.com", "\"x\" <{{name}}@{{x}}>", "a@{{x}}"}) {
    spec.from = from;
    EXPECT_EQ(first_signed(), 1U) << from;
  }
  spec.from = "news@example.org";
  EXPECT_EQ(first_signed(), 0U);
  spec.from = "news@{{x}}";
  compile();
  fill_row("", "example.org");
  const ComposeResult result = message->compose(row, {}, buffer);
  EXPECT_EQ(result.refusal.enhanced, (EnhancedCode{5, 7, 0}));
  EXPECT_EQ(result.refusal.text, "no DKIM key signs for the domain of From");
}

TEST_F(DkimComposeTest, UnsignedMailIsToldOf) {
  compile();
  EXPECT_THAT(message->warnings(), IsEmpty());
  input.signing_domains = {"example.com"};
  compile();
  EXPECT_THAT(message->warnings(), IsEmpty());
  for (const char* from : {"a@example.org", "a@notexample.com"}) {
    spec.from = from;
    compile();
    EXPECT_THAT(message->warnings(), ElementsAre(HasSubstr("no [[dkim]] signs for "))) << from;
  }
}

TEST_F(DkimComposeTest, WithoutKeysNothingIsSigned) {
  input.dkim_keys = nullptr;
  input.signing_domains = {"example.com"};
  compile();
  ASSERT_TRUE(try_row("a").ok());
  EXPECT_THAT(verify(unstuffed(all_octets(buffer)), {key}), IsEmpty());
}

}  // namespace
}  // namespace sluice
