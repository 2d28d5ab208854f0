#include "engine/converse/capabilities.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Capabilities, AllThatIsKnown) {
  const Capabilities c = parse_capabilities(
      "mx.example greets you\nPIPELINING\nSIZE 10240000\nVRFY\nETRN\nSTARTTLS\n"
      "ENHANCEDSTATUSCODES\n8BITMIME\nDSN\nSMTPUTF8\nCHUNKING\n"
      "LIMITS RCPTMAX=100 MAILMAX=20 RCPTDOMAINMAX=3");
  EXPECT_TRUE(c.esmtp && c.pipelining && c.eight_bit_mime && c.smtputf8 &&
              c.enhanced_status_codes && c.chunking && c.starttls && c.size);
  EXPECT_EQ(c.size_limit, 10'240'000U);
  EXPECT_EQ(c.mail_max, 20U);
  EXPECT_EQ(c.rcpt_max, 100U);
  EXPECT_EQ(c.rcpt_domain_max, 3U);
}

TEST(Capabilities, CaseAndOrderDoNotMatter) {
  const Capabilities c = parse_capabilities("x\nlimits mailmax=7\nsize 5\npipeLining\n8bitmime");
  EXPECT_TRUE(c.pipelining && c.eight_bit_mime && c.size);
  EXPECT_EQ(c.size_limit, 5U);
  EXPECT_EQ(c.mail_max, 7U);
}

TEST(Capabilities, TheFirstLineIsTheGreeting) {
  Capabilities esmtp_only;
  esmtp_only.esmtp = true;
  EXPECT_EQ(parse_capabilities("PIPELINING"), esmtp_only);
  EXPECT_EQ(parse_capabilities(""), esmtp_only);
  EXPECT_EQ(parse_capabilities("x\n\n \nUNKNOWN thing\nXPIPELINING\nPIPELINING2\nAUTH=LOGIN"),
            esmtp_only);
}

TEST(Capabilities, SizeWithoutLimit) {
  for (const char* text :
       {"x\nSIZE", "x\nSIZE 0", "x\nSIZE many", "x\nSIZE -1", "x\nSIZE 99999999999999999999999"}) {
    const Capabilities c = parse_capabilities(text);
    EXPECT_TRUE(c.size) << text;
    EXPECT_EQ(c.size_limit, 0U) << text;
  }
}

TEST(Capabilities, MalformedLimitsAreIgnored) {
  for (const char* text :
       {"x\nLIMITS", "x\nLIMITS MAILMAX", "x\nLIMITS MAILMAX=", "x\nLIMITS MAILMAX=0",
        "x\nLIMITS MAILMAX=-1", "x\nLIMITS MAILMAX=1234567", "x\nLIMITS =5", "x\nLIMITS MAILMAX=1x",
        "x\nLIMITS  FOO=1 ", "x\nLIMIT MAILMAX=4"}) {
    EXPECT_EQ(parse_capabilities(text).mail_max, 0U) << text;
  }
  EXPECT_EQ(parse_capabilities("x\nLIMITS FOO=1 MAILMAX=x  MAILMAX=4").mail_max, 4U);
}

}  // namespace
}  // namespace sluice
