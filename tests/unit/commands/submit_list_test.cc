#include "tools/cmd/submit_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "engine/config/configuration_file.h"
#include "engine/ring/uring_io.h"
#include "tests/unit/commands/temporary_spool.h"
#include "tools/cmd/row_message.h"
#include "tools/cmd/submission.h"

namespace sluice::tools {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SubmitList : public ::testing::Test {
 protected:
  SubmitList() : directory_(spool_.root + "/my-job") {
    auto config = parse_configuration("[smtp]\nhello = \"mta.example.org\"\n", "sluice.toml",
                                      [](const std::string&) { return missing("none"); });
    EXPECT_TRUE(config.ok()) << config.status();
    if (config.ok()) config_ = std::move(*config);
    auto io = UringIo::create({.operations_max = 64});
    if (!io.ok()) return;
    io_ = std::move(*io);
    loop_ = std::make_unique<Loop>(
        *io_, LoopOptions{.frame_bytes_max = 1UL << 20, .mailbox_entries = 16});
  }
  void SetUp() override {
    if (!io_) GTEST_SKIP() << "no io_uring here";
  }

  void write(const std::string& text, const std::string& html, const std::string& rows) {
    write_file(directory_ + "/job.toml",
               "name = \"july\"\nfrom = \"News <news@example.org>\"\nsubject = \"Hi\"\n"
               "[message]\ntext = \"body.txt\"\n" +
                   std::string(html.empty() ? "" : "html = \"body.html\"\n") +
                   "[list]\nfile = \"list.csv\"\n");
    write_file(directory_ + "/body.txt", text);
    if (!html.empty()) write_file(directory_ + "/body.html", html);
    write_file(directory_ + "/list.csv", "email,x\n" + rows);
  }
  // Of a job that is fine with the bounds of the program.
  StatusOr<ListFindings> check(const SizeBounds& bounds) {
    ASSIGN_OR_RETURN(submission_, check_submission(*loop_, config_, directory_, ""));
    return check_list(*loop_, *submission_.job, from_unix_seconds(1'796'115'667), bounds);
  }

  TemporarySpool spool_;
  const std::string directory_;
  Configuration config_;
  std::unique_ptr<UringIo> io_;
  std::unique_ptr<Loop> loop_;
  Submission submission_;
};

TEST_F(SubmitList, CountsRowsAndNamesTheFirstThatIsRejected) {
  write("t {{x}}\n", "",
        "a@b.example,1\nno address,2\n\nb@b.example,3,4\n\"c@b.example\",\"two\nlines\"\n"
        "d@b.example,4\n");
  const auto found = check({});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->rows, 5U);
  EXPECT_EQ(found->rejected, 2U);
  EXPECT_THAT(found->warnings,
              ElementsAre(AllOf(HasSubstr("list.csv:3: row 2 is rejected: "),
                                HasSubstr("no address"), HasSubstr("(2 rows are rejected)"))));
}

TEST_F(SubmitList, TheLargestIsNoSmallerThanAnyMessage) {
  write("{{x}}{{#x}}{{x}}{{/x}}\n", "<p>{{x}}</p>\n",
        "a@b.example,\nb@b.example," + std::string(9'000, '<') + "\nc@b.example," +
            std::string(8'000, 'x') + "\n");
  const auto found = check({});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->largest_row, 2U);
  auto row = find_list_row(*loop_, *submission_.job, found->largest_row);
  ASSERT_TRUE(row.ok()) << row.status();
  const auto message = compose_row(*submission_.job, *row, from_unix_seconds(1'796'115'667));
  ASSERT_TRUE(message.ok()) << message.status();
  // Two in the text, one as "&lt;" in the HTML.
  EXPECT_GT(message->octets.size(), 6 * 9'000U);
  EXPECT_GE(found->largest_bytes_max, message->octets.size());
  EXPECT_THAT(found->warnings, IsEmpty());
}

TEST_F(SubmitList, ARowThatIsRejectedHasNoSize) {
  write("{{x}}\n", "", "a@b.example,x\nnobody," + std::string(9'000, 'x') + "\n");
  const auto found = check({});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->largest_row, 1U);
  EXPECT_LT(found->largest_bytes_max, 9'000U);
}

TEST_F(SubmitList, MessagesThatManyReceiversRefuseAreCountedExactly) {
  // An estimate counts four octets for each of a value: only two of the rows are above the bound.
  write("{{x}}\n", "",
        "a@b.example," + std::string(9'000, 'x') + "\nb@b.example," + std::string(11'000, 'x') +
            "\nc@b.example," + std::string(12'000, 'x') + "\nd@b.example,x\n");
  const auto found = check({.large = 10UL << 10});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(found->warnings,
              ElementsAre(AllOf(HasSubstr("list.csv:4: row 3: its message has 13,092 octets"),
                                HasSubstr("(2 rows have more than 10 KiB)"),
                                HasSubstr("many receivers take 10 KiB; attach less"))));
  const auto none = check({.large = 14'000});
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_THAT(none->warnings, IsEmpty());
}

TEST_F(SubmitList, AMessageThatIsNeverSentIsAnError) {
  write("{{x}}\n", "",
        "a@b.example,x\nb@b.example," + std::string(30'000, 'x') + "\nc@b.example," +
            std::string(31'000, 'x') + "\n");
  const auto found = check({.message = 20'000, .large = 10'000});
  EXPECT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(message_of(found.status()),
              AllOf(HasSubstr("list.csv:"), HasSubstr("its message has more than 20,000 octets"),
                    HasSubstr("(2 such rows)"), HasSubstr("take the row out")));
}

TEST_F(SubmitList, HtmlThatIsClippedIsNamed) {
  // The text holds what looks like the headers of an HTML part.
  const std::string text =
      "\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: "
      "quoted-printable\n\n{{x}}" +
      std::string(9'000, '=') + "\n";
  write(text, "<p>{{x}}</p>\n", "a@b.example,x\nb@b.example," + std::string(500, '&') + "\n");
  // Five octets of "&amp;" each, and "<p></p>" with its line end.
  const auto clipped = check({.html = 2'500});
  ASSERT_TRUE(clipped.ok()) << clipped.status();
  EXPECT_THAT(clipped->warnings,
              ElementsAre(HasSubstr("list.csv:3: row 2: its HTML has 2,509 octets; Gmail shows")));
  const auto whole = check({.html = 2'509});
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_THAT(whole->warnings, IsEmpty());
}

TEST_F(SubmitList, HtmlInBase64IsMeasuredDecoded) {
  std::string html;
  for (int i = 0; i < 1'000; ++i) html += "\xE6\x97\xA5\xE6\x9C\xAC";
  write("t\n", html + "\n", "a@b.example,x\n");
  const auto found = check({.html = 6'001});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(found->warnings, ElementsAre(HasSubstr("its HTML has 6,002 octets")));
}

TEST_F(SubmitList, AListWithoutAGoodRowHasNoLargest) {
  write("t\n", "<p>h</p>\n", "a@b.example,\"never closed\n");
  const auto found = check({.large = 0, .html = 0});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->rejected, 1U);
  EXPECT_EQ(found->largest_row, 0U);
  EXPECT_THAT(found->warnings, ElementsAre(HasSubstr("row 1 is rejected")));
}

}  // namespace
}  // namespace sluice::tools
