// The parts of show, spool-cat and resolve that read what others wrote, or decide.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "engine/config/configuration_file.h"
#include "engine/spool/job_files.h"
#include "tests/unit/commands/temporary_spool.h"
#include "tools/cmd/route_report.h"
#include "tools/cmd/row_message.h"
#include "tools/cmd/segment_file.h"
#include "tools/cmd/spool_jobs.h"

namespace sluice::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kJob = "july-20231114T221320Z-abcdef";

TEST(RowMessage, TakesTheDotsOfSmtpAway) {
  EXPECT_EQ(without_stuffing("a\r\n..b\r\n...\r\nc.\r\n"), "a\r\n.b\r\n..\r\nc.\r\n");
  EXPECT_EQ(without_stuffing("..\r\n"), ".\r\n");
  EXPECT_EQ(without_stuffing(""), "");
  EXPECT_EQ(without_stuffing("x\n..y"), "x\n..y");
}

class FindRow : public ::testing::Test {
 protected:
  FindRow() : directory_(spool_.paths.active_job(kJob)) {
    SegmentMeta meta;
    meta.job = kJob;
    meta.row_begin = 1;
    meta.row_end = 5;
    meta.rejected = 1;
    meta.duplicate = 1;
    spool_.add_segment(directory_, meta, {{1, "a@b.example"}, {3, "c@d.example"}});
    meta.number = 1;
    meta.row_begin = 5;
    meta.row_end = 7;
    meta.rejected = meta.duplicate = 0;
    spool_.add_segment(directory_, meta, {{5, "e@b.example"}, {6, "f@b.example"}});
    std::string rejected(kRejectedHeader);
    append_rejected(rejected, 2, 3, "nobody", "no @");
    write_file(JobPaths(directory_).rejected, rejected);
  }
  StatusOr<std::optional<SegmentPlace>> find(uint64_t number) {
    const auto open = OpenDirectory::open(directory_);
    if (!open.ok()) return open.status();
    return find_segment_row(*open, number);
  }

  TemporarySpool spool_;
  const std::string directory_;
};

TEST_F(FindRow, FindsRowsInTheirSegments) {
  const std::vector<std::tuple<uint64_t, uint32_t, uint32_t, std::string>> expected = {
      {1, 0, 0, "a@b.example"},
      {3, 0, 1, "c@d.example"},
      {5, 1, 0, "e@b.example"},
      {6, 1, 1, "f@b.example"}};
  for (const auto& [number, segment, row, address] : expected) {
    const auto place = find(number);
    ASSERT_TRUE(place.ok()) << place.status();
    ASSERT_TRUE(place->has_value()) << number;
    EXPECT_EQ((*place)->segment, segment);
    EXPECT_EQ((*place)->row, row);
    EXPECT_EQ((*place)->contents.address(), address);
    const Row view = (*place)->contents.view();
    EXPECT_EQ(view.number, number);
    EXPECT_EQ(std::string(view.local_part) + "@" + std::string(view.domain), address);
    ASSERT_EQ(view.values.size(), 1U);
    EXPECT_EQ(view.values[0], address);
  }
}

TEST_F(FindRow, SaysWhyARowIsLeftOut) {
  EXPECT_EQ(find(2).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(message_of(find(2).status()),
              HasSubstr("row 2 was rejected, line 3 of the list: no @: nobody"));
  EXPECT_THAT(message_of(find(4).status()), HasSubstr("duplicate"));
  const auto beyond = find(7);
  ASSERT_TRUE(beyond.ok());
  EXPECT_FALSE(beyond->has_value());
}

// Whatever octets a file has: it is read or refused with its name, and nothing else happens.
TEST_F(FindRow, DamagedSegmentsAreRefusedByName) {
  const std::string good = text_in(JobPaths(directory_).segment(0));
  const std::string path = spool_.root + "/damaged.seg";
  const auto walk = [&](const std::string& octets) -> Status {
    write_file(path, octets);
    auto file = SegmentFile::open(::open(path.c_str(), O_RDONLY), "damaged.seg");
    if (!file.ok()) return file.status();
    BlockReader reader;
    Row row;
    for (uint32_t block = 0; block < (*file)->index().block_count(); ++block) {
      RETURN_IF_ERROR((*file)->open_block(block, reader));
      while (reader.next(row)) {
      }
      RETURN_IF_ERROR((*file)->in_block(reader.status(), block));
    }
    return {};
  };
  ASSERT_TRUE(walk(good).ok());
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x41);
    const Status status = walk(bad);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << i;
    EXPECT_THAT(message_of(status), ::testing::StartsWith("damaged.seg: ")) << i;
  }
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(walk(good.substr(0, size)).ok()) << size;
  }
}

TEST(RouteReport, TellsWhichRuleSetALimit) {
  auto config = parse_configuration(
      "[shaping]\nfiles = [\"shaping.toml\"]\n", "sluice.toml",
      [](const std::string&) -> StatusOr<std::string> {
        return std::string(
            "[\"default\"]\nconnection_limit = 7\n[\"big.example\"]\nmax_message_rate = \"5/s\"\n"
            "connection_limit = 3\n[\"other.example\"]\nconnection_limit = 9\n");
      });
  ASSERT_TRUE(config.ok()) << config.status();
  const auto limit = [&](std::string_view name, std::string_view domain, std::string_view site) {
    for (const LimitInForce& found :
         limits_in_force(*config, {"", "mx.big.example", "mx.other.example"}, domain, site)) {
      if (found.name != name) continue;
      return found.value + (found.rule == nullptr ? "" : " " + std::to_string(found.rule->line));
    }
    return std::string("none such");
  };
  EXPECT_EQ(limit("connection_limit", "x.example", "mx.x.example"), "7 1");
  EXPECT_EQ(limit("connection_limit", "x.example", "mx.big.example"), "3 3");
  EXPECT_EQ(limit("connection_limit", "big.example", ""), "3 3");
  EXPECT_EQ(limit("max_message_rate", "x.example", "mx.big.example"), "5/s 3");
  EXPECT_EQ(limit("max_message_rate", "x.example", "mx.x.example"), "none");
  EXPECT_EQ(limit("connection_limit", "x.example", "mx.other.example"), "9 6");
  EXPECT_EQ(limit("smtp_port", "x.example", "mx.x.example"), "25");
}

TEST(RouteReport, ShowsWhatItRestsOn) {
  auto route = std::make_shared<Route>();
  route->site = "(a|b).mx.example";
  route->exchangers.push_back({"a.mx.example", 10, {*parse_ip("192.0.2.1")}});
  RouteReport report;
  report.asked = report.domain = "x.example";
  report.route = route;
  report.servers = "127.0.0.1:53";
  report.from_sender = true;
  report.trace.unusable.push_back({"b.mx.example", 20, "10.0.0.1", "private"});
  DnsFact fact;
  fact.name = "x.example";
  fact.type = "MX";
  fact.kind = "records";
  fact.source = "stale";
  fact.age = std::chrono::seconds(61);
  fact.records = {"10 a.mx.example", "20 b.mx.example"};
  report.trace.facts.push_back(fact);
  const std::string brief = route_words(report, false);
  EXPECT_THAT(brief, HasSubstr("not used: b.mx.example 10.0.0.1: private\n"));
  EXPECT_THAT(brief, HasSubstr("as the running sluice goes by, which asks 127.0.0.1:53"));
  EXPECT_THAT(brief, Not(HasSubstr("stale")));
  const std::string whole = route_words(report, true);
  EXPECT_THAT(whole, HasSubstr("10 a.mx.example, 20 b.mx.example"));
  EXPECT_THAT(whole, HasSubstr("stale"));
  EXPECT_THAT(whole, HasSubstr("1m01s"));
  EXPECT_THAT(route_json(report), HasSubstr("\"source\":\"stale\""));
}

TEST(RouteReport, SaysWhyMailCannotGo) {
  Route route;
  route.failure.state = State::kBounced;
  route.failure.reply = {550, {5, 1, 2}, "no such domain\n\x01"};
  RouteReport report;
  report.asked = report.domain = "gone.example";
  report.route = std::make_shared<Route>(route);
  report.servers = "127.0.0.1:53";
  EXPECT_THAT(route_words(report, false),
              HasSubstr("gone.example: mail for it bounces: 550 5.1.2 no such domain\\x0a\\x01\n"));
  EXPECT_THAT(route_json(report), HasSubstr("\"usable\":false"));
  EXPECT_THAT(route_json(report), HasSubstr("\"enhanced\":\"5.1.2\""));
}

}  // namespace
}  // namespace sluice::tools
