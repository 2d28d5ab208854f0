// A receiver that takes so many messages on a connection and defers the next MAIL.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/converse/driver.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

const std::string kAccepted = "250 ok\r\n250 ok\r\n354 go\r\n";

// Greeted, and `count` messages delivered; the envelope of the next is under way.
void deliver(Driver& driver, int count, const std::string& offers) {
  driver.says("220 hi\r\n", false);
  driver.says(offers, false);
  driver.says(kAccepted, false);
  for (int i = 0; i < count; ++i) {
    driver.output.clear();
    driver.says("250 taken\r\n", false);
    if (i + 1 < count) driver.says(kAccepted, false);
  }
}

TEST(UsedUp, AConnectionThatTakesNoMoreIsLeft) {
  Driver driver(options_for_tests());
  driver.add_mail(5);
  deliver(driver, 2, "250-x\r\n250 PIPELINING\r\n");
  driver.output.clear();
  driver.says("452 4.5.3 too many messages\r\n503 no mail\r\n503 no mail\r\n", false);
  EXPECT_EQ(driver.dialog.used_up_after(), 2U);
  EXPECT_TRUE(driver.dialog.exhausted());
  EXPECT_THAT(driver.output, HasSubstr("QUIT\r\n"));
  EXPECT_THAT(driver.output, Not(HasSubstr("MAIL")));
  driver.says("221 bye\r\n", false);
  EXPECT_TRUE(driver.dialog.finished());
  EXPECT_THAT(driver.verdicts,
              UnorderedElementsAre("1 delivered recipient 250 .", "2 delivered recipient 250 .",
                                   "3 deferred source 452 4.5.3 MAIL", "4 waiting connection 0"))
      << "the fourth was taken and not said: it is given back";
  EXPECT_EQ(driver.mail.size(), 1U) << "the fifth was not touched";
}

TEST(UsedUp, WithoutPipelining) {
  Driver driver(options_for_tests());
  driver.add_mail(3);
  driver.says("220 hi\r\n", false);
  driver.says("250 x\r\n", false);
  for (const char* reply : {"250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 taken\r\n"}) {
    driver.says(reply, false);
  }
  driver.output.clear();
  driver.says("452 4.5.3 enough\r\n", false);
  EXPECT_EQ(driver.dialog.used_up_after(), 1U);
  EXPECT_EQ(driver.output, "QUIT\r\n");
}

TEST(UsedUp, TheFirstMailOfAConnectionSaysNothingOfIt) {
  Driver driver(options_for_tests());
  driver.add_mail(2);
  driver.says("220 hi\r\n", false);
  driver.says("250-x\r\n250 PIPELINING\r\n", false);
  driver.says("450 later\r\n503 no\r\n503 no\r\n", false);
  EXPECT_EQ(driver.dialog.used_up_after(), 0U);
  EXPECT_FALSE(driver.dialog.exhausted());
}

TEST(UsedUp, AGoodbyeBetweenMessagesIsNoLimit) {
  Driver driver(options_for_tests());
  driver.add_mail(1);
  deliver(driver, 1, "250-x\r\n250 PIPELINING\r\n");
  driver.says("421 idle for too long\r\n", false);
  EXPECT_EQ(driver.dialog.used_up_after(), 0U);
  EXPECT_TRUE(driver.dialog.finished());
}

}  // namespace
}  // namespace sluice
