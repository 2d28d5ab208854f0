// Several recipients of one message in one transaction.
#include <gtest/gtest.h>

#include "tests/unit/converse/driver.h"

namespace sluice {
namespace {

class Several {
 public:
  Several(const std::string& keywords, const DialogOptions& options) : driver_(options) {
    driver_.says("220 mx\r\n", false);
    driver_.says("250-mx\r\n" + keywords + "250 SIZE\r\n", false);
    driver_.output.clear();
  }

  void take(const std::vector<std::string_view>& addresses) {
    std::vector<Addressee> addressees;
    for (const std::string_view address : addresses) addressees.push_back({++ticket_, address});
    Envelope envelope;
    envelope.sender = "s@x";
    envelope.size = 7;
    driver_.dialog.take(addressees, envelope);
    driver_.work();
  }
  // What is sent then.
  std::string says(std::string_view replies) {
    driver_.output.clear();
    driver_.says(replies, false);
    return driver_.output;
  }
  Driver driver_;

 private:
  uint64_t ticket_ = 0;
};

using Lines = std::vector<std::string>;
const std::string kMail = "MAIL FROM:<s@x> SIZE=7\r\n";

TEST(SeveralRecipients, ByData) {
  Several s("250-PIPELINING\r\n", options_for_tests());
  s.take({"a@y", "b@y", "c@y"});
  EXPECT_EQ(s.driver_.output,
            kMail + "RCPT TO:<a@y>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n");
  EXPECT_EQ(s.says("250 ok\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n"),
            "[content 1]\r\n.\r\n");
  s.says("250 taken\r\n");
  EXPECT_EQ(s.driver_.verdicts,
            (Lines{"1 delivered recipient 250 .", "2 bounced recipient 550 5.1.1 RCPT",
                   "3 delivered recipient 250 ."}));
}

TEST(SeveralRecipients, WithoutPipelining) {
  Several s("", options_for_tests());
  s.take({"a@y", "b@y"});
  EXPECT_EQ(s.driver_.output, kMail);
  EXPECT_EQ(s.says("250 ok\r\n"), "RCPT TO:<a@y>\r\n");
  EXPECT_EQ(s.says("450 later\r\n"), "RCPT TO:<b@y>\r\n");
  EXPECT_EQ(s.says("250 ok\r\n"), "DATA\r\n");
  EXPECT_EQ(s.says("354 go\r\n"), "[content 1]\r\n.\r\n");
  s.says("554 no\r\n");
  s.says("250 reset\r\n");
  EXPECT_EQ(s.driver_.verdicts,
            (Lines{"1 deferred recipient 450 RCPT", "2 bounced message 554 ."}));
}

TEST(SeveralRecipients, ByChunkAllRefused) {
  Several s("250-PIPELINING\r\n250-CHUNKING\r\n", options_for_tests());
  s.take({"a@y", "b@y"});
  EXPECT_EQ(s.driver_.output, kMail + "RCPT TO:<a@y>\r\nRCPT TO:<b@y>\r\n");
  EXPECT_EQ(s.says("250 ok\r\n550 no\r\n451 later\r\n"), "RSET\r\n");
  s.says("250 reset\r\n");
  EXPECT_EQ(s.driver_.verdicts,
            (Lines{"1 bounced recipient 550 RCPT", "2 deferred recipient 451 RCPT"}));
}

TEST(SeveralRecipients, TooManyIsNoFailureAndIsLearnt) {
  Several s("250-PIPELINING\r\n250-CHUNKING\r\n", options_for_tests());
  s.take({"a@y", "b@y", "c@y", "d@y"});
  EXPECT_EQ(s.says("250 ok\r\n250 ok\r\n452 too many\r\n552 5.2.2 full\r\n452 4.5.3 many\r\n"),
            "BDAT 7 LAST\r\n[content 1]\r\n");
  EXPECT_EQ(s.says("250 taken\r\n"), "RSET\r\n");
  s.says("250 reset\r\n");
  EXPECT_EQ(s.driver_.verdicts,
            (Lines{"1 delivered recipient 250 BDAT", "2 waiting connection 452 RCPT",
                   "3 bounced recipient 552 5.2.2 RCPT", "4 waiting connection 452 4.5.3 RCPT"}));
  EXPECT_EQ(s.driver_.dialog.learnt_recipients_max(), 1U);
  EXPECT_EQ(s.driver_.dialog.recipients_at_once(), 1U);
}

TEST(SeveralRecipients, TheFirstIsNeverTooMany) {
  Several s("250-PIPELINING\r\n250-CHUNKING\r\n", options_for_tests());
  s.take({"a@y"});
  s.says("250 ok\r\n452 no room\r\n");
  s.says("250 reset\r\n");
  EXPECT_EQ(s.driver_.verdicts, Lines{"1 deferred recipient 452 RCPT"});
}

TEST(SeveralRecipients, TheOfferIsObeyed) {
  DialogOptions options = options_for_tests();
  options.recipients_max = 50;
  EXPECT_EQ(Several("", options).driver_.dialog.recipients_at_once(), 50U);
  EXPECT_EQ(Several("250-LIMITS RCPTMAX=3\r\n", options).driver_.dialog.recipients_at_once(), 3U);
}

TEST(SeveralRecipients, WhoCannotBeSaidHasHisVerdictWithTheOthers) {
  Several s("250-PIPELINING\r\n", options_for_tests());
  s.take({"a@y\r\nDATA", "b@y", "\xC3\xA4@y"});
  EXPECT_EQ(s.driver_.output, kMail + "RCPT TO:<b@y>\r\nDATA\r\n");
  s.says("250 ok\r\n250 ok\r\n354 go\r\n");
  s.says("250 taken\r\n");
  EXPECT_EQ(s.driver_.verdicts, (Lines{"2 delivered recipient 250 .", "3 bounced recipient 0 5.6.7",
                                       "1 bounced recipient 0 5.1.3"}));
}

TEST(SeveralRecipients, BrokenBehindTheContent) {
  Several s("250-PIPELINING\r\n250-CHUNKING\r\n", options_for_tests());
  s.take({"a@y", "b@y"});
  s.says("250 ok\r\n250 ok\r\n550 no\r\n");
  s.driver_.fails(Fault::kReset);
  EXPECT_EQ(s.driver_.verdicts,
            (Lines{"1 deferred connection 0 4.4.2 BDAT maybe", "2 bounced recipient 550 RCPT"}));
}

}  // namespace
}  // namespace sluice
