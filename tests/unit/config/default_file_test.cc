#include "engine/config/default_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/config/configuration_file.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

StatusOr<Configuration> parse(const std::string& text) {
  return parse_configuration(
      text, "f", [](const std::string& path) -> StatusOr<std::string> { return missing(path); });
}

// configuration_text() shows every value, so equal texts mean equal configurations.
TEST(DefaultFile, IsReadBackToTheDefaults) {
  const auto defaults = parse("");
  const auto read = parse(configuration_text());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(configuration_text(*read), configuration_text(*defaults));
  EXPECT_EQ(configuration_text(*read), configuration_text());
  const Configuration d;
  EXPECT_EQ(read->spool.path, d.spool.path);
  EXPECT_EQ(read->spool.keep_done, d.spool.keep_done);
  EXPECT_EQ(read->engine.shards, d.engine.shards);
  EXPECT_EQ(read->engine.max_connections, d.engine.max_connections);
  EXPECT_EQ(read->engine.drain_timeout, d.engine.drain_timeout);
  EXPECT_TRUE(read->dns.servers.empty());
  EXPECT_EQ(read->dns.serve_stale, d.dns.serve_stale);
  EXPECT_EQ(read->dns.cache_entries, d.dns.cache_entries);
  EXPECT_TRUE(read->dns.routes.empty());
  EXPECT_EQ(read->smtp.hello, d.smtp.hello);
  EXPECT_EQ(read->smtp.port, d.smtp.port);
  EXPECT_EQ(read->smtp.address_family, d.smtp.address_family);
  EXPECT_TRUE(read->smtp.allowed_networks.empty());
  EXPECT_EQ(read->smtp.allow_address_literals, d.smtp.allow_address_literals);
  EXPECT_EQ(read->retry.retry_interval, d.retry.retry_interval);
  EXPECT_EQ(read->retry.max_retry_interval, d.retry.max_retry_interval);
  EXPECT_EQ(read->suppress.hard_bounces, d.suppress.hard_bounces);
  EXPECT_EQ(read->record.directory, d.record.directory);
  EXPECT_EQ(read->record.rotate_bytes, d.record.rotate_bytes);
  EXPECT_EQ(read->record.keep, d.record.keep);
  EXPECT_EQ(read->record.commit_interval, d.record.commit_interval);
  EXPECT_EQ(read->admin.socket, d.admin.socket);
  EXPECT_EQ(read->admin.listen, d.admin.listen);
  EXPECT_EQ(read->log.level, d.log.level);
}

TEST(DefaultFile, CarriesOtherValuesToo) {
  const auto c = parse(R"(
[spool]
path = 'a "quoted" \ path'
[dns]
servers = ["[::1]:54"]
[dns.route]
"example.com" = ["127.0.0.1:5350", "127.0.0.2"]
[smtp]
hello = "mta.example.com"
allowed_networks = ["127.0.0.0/8"]
[[source]]
name = "s1"
address = ["192.0.2.10", "2001:db8::10"]
[[source]]
name = "s2"
hello = "s2.example.com"
[[pool]]
name = "p"
sources = ["s1", { source = "s2", weight = 4 }]
[log]
level = "debug"
)");
  ASSERT_TRUE(c.ok()) << c.status();
  const std::string text = configuration_text(*c);
  const auto again = parse(text);
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << text;
  EXPECT_EQ(configuration_text(*again), text);
  EXPECT_EQ(again->spool.path, "a \"quoted\" \\ path");
  EXPECT_EQ(again->pools.at(0).members.at(1).weight, 4U);
  EXPECT_EQ(again->sources.at(0).hello, "mta.example.com");
  EXPECT_EQ(again->dns.routes.at(0).servers.size(), 2U);
}

TEST(DefaultFile, ExplainsEveryKey) {
  std::string before;
  std::string line;
  for (const char c : configuration_text() + "\n") {
    if (c != '\n') {
      line += c;
      continue;
    }
    const bool key = line.find(" = ") != std::string::npos && line[0] != '#';
    const bool names = line.rfind("name", 0) == 0 || line.rfind("sources", 0) == 0;
    if (key && !names) {
      EXPECT_EQ(before.substr(0, 2), "# ") << line;
    }
    EXPECT_LE(line.size(), 100U);
    before = line;
    line.clear();
  }
}

}  // namespace
}  // namespace sluice
