#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/config/job_file.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr std::string_view kLeast =
    "name = \"n\"\nfrom = \"a@example.com\"\nsubject = \"s\"\n"
    "message.text = \"body.txt\"\nlist.file = \"list.csv\"\n";

std::string mistakes(const std::string& text) {
  const auto parsed = parse_job(text, "job.toml");
  return parsed.ok() ? "none" : message_of(parsed.status());
}
// `more` after the least job that is good.
std::string mistakes_of(const std::string& more) { return mistakes(std::string(kLeast) + more); }

TEST(Job, LeastJobHasTheDefaults) {
  const auto job = parse_job(kLeast, "job.toml");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->name, "n");
  EXPECT_EQ(job->list.address, "email");
  EXPECT_FALSE(job->list.dedupe);
  EXPECT_EQ(job->send.pool, "default");
  EXPECT_EQ(job->send.priority, 5);
  EXPECT_FALSE(job->send.start);
  EXPECT_FALSE(job->send.rate);
}

TEST(Job, ReadsEveryBuiltKey) {
  const auto job = parse_job(R"(
name = "july-news"
from = "Example News <news@example.com>"
subject = "Hello {{first_name}}"
reply_to = "help@example.com"
envelope_sender = "bounce@example.com"
verp = false
[message]
text = "body.txt"
html = "parts/body.html"
attachments = []
[list]
file = "list.csv.zst"
address = "mail"
dedupe = true
[headers]
X-Zebra = "1"
List-ID = "July news <july.news.example.com>"
A-Empty = ""
[send]
pool = "bulk"
priority = 0
start = 2026-12-01T08:00:00.5+01:00
lifetime = "1d"
rate = "500000/h"
[tls]
policy = "none"
[record]
)",
                             "job.toml");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->from, "Example News <news@example.com>");
  EXPECT_EQ(job->subject, "Hello {{first_name}}");
  EXPECT_EQ(job->reply_to, "help@example.com");
  EXPECT_EQ(job->envelope_sender, "bounce@example.com");
  EXPECT_EQ(job->message.html, "parts/body.html");
  EXPECT_EQ(job->list.file, "list.csv.zst");
  EXPECT_EQ(job->list.address, "mail");
  EXPECT_TRUE(job->list.dedupe);
  EXPECT_THAT(job->headers, ElementsAre(Pair("X-Zebra", "1"),
                                        Pair("List-ID", "July news <july.news.example.com>"),
                                        Pair("A-Empty", "")));
  EXPECT_EQ(job->send.pool, "bulk");
  EXPECT_EQ(job->send.priority, 0);
  ASSERT_TRUE(job->send.start);
  EXPECT_EQ(job->send.start->time_since_epoch(), std::chrono::milliseconds(1'796'108'400'500));
  EXPECT_EQ(job->send.lifetime, std::chrono::hours(24));
  EXPECT_EQ(job->send.rate, (Rate{500'000, std::chrono::hours(1), 2}));
}

TEST(Job, WhatIsRequiredIsAskedFor) {
  const std::string told = mistakes("");
  for (const char* part : {"name is missing", "from is missing", "subject is missing",
                           "list.file is missing", "the job has no message"}) {
    EXPECT_THAT(told, HasSubstr(part));
  }
  EXPECT_EQ(mistakes("name = \"n\"\nfrom = \"a@b.c\"\n[message]\neml = \"m.eml\"\n[list]\n"
                     "file = \"l.csv\"\n"),
            "none");
  EXPECT_THAT(mistakes_of("message.eml = \"m.eml\"\n"), HasSubstr("is a whole message"));
  EXPECT_EQ(mistakes("name = \"n\"\nfrom = \"a@b.c\"\nsubject = \"s\"\n[message]\n[list]\n"),
            "job.toml:4:2: the job has no message; add [message] with text = \"body.txt\", html = "
            "\"body.html\" or eml = \"message.eml\"\n"
            "job.toml:5:2: list.file is missing; add file = \"list.csv\"");
}

TEST(Job, NamesAreSafeAsFolders) {
  const auto good = [](const std::string& name) {
    std::string text(kLeast);
    text.replace(text.find("\"n\""), 3, "'" + name + "'");
    return parse_job(text, "job.toml").ok();
  };
  EXPECT_TRUE(good("July_news-2.a"));
  EXPECT_TRUE(good(std::string(64, 'a')));
  for (const std::string& name :
       {std::string(), std::string(".hidden"), std::string(".."), std::string("a/b"),
        std::string("a b"), std::string("\xC3\xA4"), std::string(65, 'a')}) {
    EXPECT_FALSE(good(name)) << name;
  }
}

TEST(Job, FilesStayInsideTheJob) {
  const auto good = [](const std::string& file) {
    std::string text(kLeast);
    text.replace(text.find("\"list.csv\""), 10, "\"" + file + "\"");
    return parse_job(text, "job.toml").ok();
  };
  for (const char* file : {"a.csv", "a/b.csv", "./a.csv", "..a", "a..b/c"}) {
    EXPECT_TRUE(good(file)) << file;
  }
  for (const char* file : {"/etc/passwd", "../a", "a/../b", "a/..", "..", ".", "a/", "a/.", "",
                           "a\\u0000b", "a\\nb"}) {
    EXPECT_FALSE(good(file)) << file;
  }
}

TEST(Job, ControlCharactersAreRefusedWithTheirPlace) {
  EXPECT_THAT(mistakes_of("reply_to = \"a@b.c\\r\\nBcc: x@y.z\"\n"),
              HasSubstr("job.toml:6:12: reply_to holds a control character"));
  EXPECT_THAT(mistakes_of("[headers]\nX-A = \"a\\nb\"\n"),
              HasSubstr("job.toml:7:7: headers.X-A holds a control character"));
  EXPECT_THAT(mistakes_of("[headers]\n\"X A\" = \"a\"\n"), HasSubstr("not a header field's name"));
  EXPECT_THAT(mistakes_of("[headers]\n\"X:\" = \"a\"\n"), HasSubstr("not a header field's name"));
  EXPECT_THAT(mistakes_of("[headers]\nX-A = \"a\"\nx-a = \"b\"\n"), HasSubstr("there twice"));
  EXPECT_THAT(mistakes_of("[headers]\nsubject = \"a\"\n"), HasSubstr("set the key subject"));
  EXPECT_THAT(mistakes_of("[headers]\nX-A = 1\n"), HasSubstr("must be a string"));
}

TEST(Job, EnvelopeSenderIsABareAddress) {
  EXPECT_EQ(mistakes_of("envelope_sender = \"b@example.com\"\n"), "none");
  for (const char* sender : {"", "b", "@x", "b@", "B <b@x>", "{{email}}", "a b@x"}) {
    EXPECT_NE(mistakes_of("envelope_sender = \"" + std::string(sender) + "\"\n"), "none") << sender;
  }
}

TEST(Job, AttachmentsAreFilesOfTheJob) {
  const auto job = parse_job(
      std::string(kLeast) + "message.attachments = [\"a.pdf\", \"b/c d.png\"]\n", "job.toml");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->message.attachments, (std::vector<std::string>{"a.pdf", "b/c d.png"}));
  for (const char* path : {"../a", "/a", "a/", "job.toml", "segments/x", "a/../b"}) {
    EXPECT_NE(
        mistakes_of("message.attachments = [\"" + std::string(path) + "\"]\n").find("no file of"),
        std::string::npos)
        << path;
  }
  EXPECT_NE(mistakes_of("message.attachments = [\"\"]\n").find("a string that is empty"),
            std::string::npos);
  EXPECT_NE(mistakes_of("message.attachments = \"a.pdf\"\n"), "none");
}

TEST(Job, TextFromHtmlNeedsHtmlAlone) {
  EXPECT_NE(mistakes_of("message.text_from_html = true\n").find("message.text"), std::string::npos);
  EXPECT_EQ(mistakes_of("message.text_from_html = false\n"), "none");
}

TEST(Job, VerpAndUnsubscribe) {
  const auto job = parse_job(std::string(kLeast) +
                                 "verp = true\n[unsubscribe]\nurl = \"https://x/{{token}}\"\n"
                                 "mailto = \"u@example.com\"\n",
                             "job.toml");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_TRUE(job->verp);
  EXPECT_EQ(job->unsubscribe.url, "https://x/{{token}}");
  EXPECT_EQ(job->unsubscribe.mailto, "u@example.com");
  EXPECT_EQ(mistakes_of("[unsubscribe]\n"),
            "job.toml:6:2: unsubscribe.url is missing; add url = "
            "\"https://example.com/u/{{token}}\", or remove [unsubscribe]");
  EXPECT_NE(mistakes_of("[unsubscribe]\nurl = \"https://x\"\nlink = \"y\"\n"), "none");
}

TEST(Job, AsksForTls) {
  const auto with = [](const std::string& policy) {
    return parse_job(std::string(kLeast) + "[tls]\npolicy = \"" + policy + "\"\n", "job.toml");
  };
  ASSERT_TRUE(parse_job(kLeast, "job.toml").ok());
  EXPECT_EQ(parse_job(kLeast, "job.toml")->tls, TlsPolicy::kNone);
  EXPECT_EQ(with("opportunistic")->tls, TlsPolicy::kOpportunistic);
  EXPECT_EQ(with("required")->tls, TlsPolicy::kRequired);
  EXPECT_EQ(with("verified")->tls, TlsPolicy::kVerified);
  EXPECT_NE(with("tough").status().message().find("write one of \"none\""), std::string::npos);
  EXPECT_NE(mistakes_of("[tls]\ndane = true\n"), "none");
}

TEST(Job, PromisedKeysAreRefusedByName) {
  EXPECT_EQ(mistakes_of("[record]\nmeta = [\"customer_id\"]\n"),
            "job.toml:7:1: record.meta is not built yet; remove it");
}

TEST(Job, StartNeedsAnOffset) {
  const auto start = [](const std::string& value) {
    return parse_job(std::string(kLeast) + "[send]\nstart = " + value + "\n", "job.toml");
  };
  EXPECT_EQ(unix_seconds(*start("1970-01-01T00:00:00Z")->send.start), 0);
  EXPECT_EQ(unix_seconds(*start("2026-12-01T08:00:00Z")->send.start), 1'796'112'000);
  EXPECT_EQ(unix_seconds(*start("2026-12-01T08:00:00-05:30")->send.start), 1'796'131'800);
  EXPECT_THAT(message_of(start("2026-12-01T08:00:00").status()), HasSubstr("has no offset"));
  EXPECT_THAT(message_of(start("2026-12-01").status()), HasSubstr("with an offset"));
  EXPECT_THAT(message_of(start("\"2026-12-01T08:00:00Z\"").status()), HasSubstr("without quotes"));
  EXPECT_THAT(message_of(start("9999-12-01T08:00:00Z").status()), HasSubstr("between 1970"));
}

TEST(Job, UnknownKeysAndRangesAreTold) {
  EXPECT_EQ(mistakes_of("[send]\npriority = 10\nliftime = \"3d\"\n"),
            "job.toml:7:12: send.priority must be between 0 and 9, not 10\n"
            "job.toml:8:1: unknown key send.liftime; did you mean send.lifetime?");
  EXPECT_EQ(mistakes_of("subjet = \"x\"\n"),
            "job.toml:6:1: unknown key subjet; did you mean subject?");
  EXPECT_THAT(mistakes_of("[send]\nrate = \"fast\"\n"), HasSubstr("send.rate = \"fast\""));
  EXPECT_EQ(parse_job("x", "job.toml").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice
