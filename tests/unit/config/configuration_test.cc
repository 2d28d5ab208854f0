#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "engine/config/configuration_file.h"

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::map<std::string, std::string>& files() {
  static std::map<std::string, std::string> made;
  return made;
}

StatusOr<std::string> read_made(const std::string& path) {
  const auto found = files().find(path);
  if (found == files().end()) return missing(path + ": no such file");
  return found->second;
}

StatusOr<Configuration> parse(std::string_view text, std::vector<std::string>* warnings = nullptr) {
  return parse_configuration(text, "/etc/sluice/sluice.toml", read_made, warnings);
}

// The message for `text`, without the folder in front of each line.
std::string mistakes(std::string_view text) {
  const auto parsed = parse_configuration(text, "sluice.toml", read_made);
  return parsed.ok() ? "none" : message_of(parsed.status());
}

TEST(Configuration, EmptyTextGivesTheDefaults) {
  const auto c = parse("");
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->file, "/etc/sluice/sluice.toml");
  EXPECT_EQ(c->spool.path, "/var/spool/sluice");
  EXPECT_EQ(c->retry.retry_interval, seconds(1'200));
  ASSERT_EQ(c->sources.size(), 1U);
  EXPECT_EQ(c->sources[0].name, "default");
  EXPECT_TRUE(c->sources[0].addresses.empty());
  EXPECT_EQ(c->sources[0].hello, "");
  ASSERT_EQ(c->pools.size(), 1U);
  EXPECT_EQ(c->pools[0].name, "default");
  ASSERT_EQ(c->pools[0].members.size(), 1U);
  EXPECT_EQ(c->pools[0].members[0].source, "default");
}

TEST(Configuration, ReadsEveryBuiltKey) {
  files()["/etc/sluice/shaping.toml"] = "[\"default\"]\nconnection_limit = 3\n";
  const auto c = parse(R"(
[spool]
path = "/srv/spool"
keep_done = "7d"
[engine]
shards = 2
max_connections = 5000
drain_timeout = "10s"
[dns]
servers = ["127.0.0.1:5353", "2001:db8::53", "[::1]:54"]
serve_stale = "1h"
cache_entries = 1000
trust_ad = false
[dns.route]
".Example.COM" = ["127.0.0.1:5350"]
"eth" = "192.0.2.1"
[smtp]
hello = "mta.example.com"
port = 2525
address_family = "prefer-ipv6"
allowed_networks = ["127.0.0.0/8", "::1"]
allow_address_literals = true
[tls]
policy = "none"
dane = false
mta_sts = false
[[source]]
name = "s1"
address = ["192.0.2.10", "2001:db8::10"]
hello = "[192.0.2.10]"
[[source]]
name = "s2"
address = "192.0.2.11"
[[pool]]
name = "default"
sources = ["s1", { source = "s2", weight = 3 }]
[[pool]]
name = "other"
sources = ["s2"]
[shaping]
files = ["shaping.toml"]
[retry]
retry_interval = "1m"
max_retry_interval = "2h"
[record]
directory = "/var/log/sluice"
rotate = "64MiB"
keep = "1d"
commit_interval = "2ms"
[suppress]
hard_bounces = true
[admin]
socket = "/tmp/s.sock"
listen = "127.0.0.1:2580"
[log]
level = "warning"
)");
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->spool.path, "/srv/spool");
  EXPECT_EQ(c->spool.keep_done, hours(168));
  EXPECT_EQ(c->engine.shards, 2U);
  EXPECT_EQ(c->engine.max_connections, 5'000U);
  EXPECT_EQ(c->engine.drain_timeout, seconds(10));
  ASSERT_EQ(c->dns.servers.size(), 3U);
  EXPECT_EQ(to_string(c->dns.servers[0]), "127.0.0.1:5353");
  EXPECT_EQ(to_string(c->dns.servers[1]), "[2001:db8::53]:53");
  EXPECT_EQ(to_string(c->dns.servers[2]), "[::1]:54");
  EXPECT_EQ(c->dns.serve_stale, hours(1));
  EXPECT_EQ(c->dns.cache_entries, 1'000U);
  ASSERT_EQ(c->dns.routes.size(), 2U);
  EXPECT_EQ(c->dns.routes[0].suffix, "example.com");
  EXPECT_EQ(c->dns.routes[1].suffix, "eth");
  EXPECT_EQ(to_string(c->dns.routes[1].servers.at(0)), "192.0.2.1:53");
  EXPECT_EQ(c->smtp.port, 2525);
  EXPECT_EQ(c->smtp.address_family, AddressFamily::kPreferIpv6);
  EXPECT_EQ(c->smtp.allowed_networks.size(), 2U);
  EXPECT_TRUE(c->smtp.allow_address_literals);
  ASSERT_EQ(c->sources.size(), 2U);
  EXPECT_EQ(c->sources[0].addresses.size(), 2U);
  EXPECT_EQ(c->sources[0].hello, "[192.0.2.10]");
  EXPECT_EQ(c->sources[1].hello, "mta.example.com");
  ASSERT_EQ(c->pools.size(), 2U);
  EXPECT_EQ(c->pools[0].members.at(1).weight, 3U);
  EXPECT_EQ(c->pools[1].members.at(0).source, "s2");
  ASSERT_EQ(c->shaping.size(), 1U);
  EXPECT_EQ(c->shaping[0].file, "/etc/sluice/shaping.toml");
  EXPECT_EQ(c->retry.max_retry_interval, hours(2));
  EXPECT_EQ(c->record.rotate_bytes, 64ULL << 20);
  EXPECT_EQ(c->record.commit_interval, std::chrono::milliseconds(2));
  EXPECT_TRUE(c->suppress.hard_bounces);
  EXPECT_EQ(c->admin.listen, "127.0.0.1:2580");
  EXPECT_EQ(c->log.level, LogLevel::kWarning);
}

TEST(Configuration, UnknownKeysAreNamedWithTheNearest) {
  EXPECT_EQ(mistakes("[smtp]\n\n  prot = 25\n"),
            "sluice.toml:3:3: unknown key smtp.prot; did you mean smtp.port?");
  EXPECT_EQ(mistakes("[smpt]\nport = 25\n"),
            "sluice.toml:1:2: unknown key smpt; did you mean smtp?");
  EXPECT_EQ(mistakes("[log]\nxyzzyxyzzy = 1\n"),
            "sluice.toml:2:1: unknown key log.xyzzyxyzzy; known here: level");
}

TEST(Configuration, AllMistakesAreToldInTheFilesOrder) {
  EXPECT_EQ(mistakes("[smtp]\nport = 70000\nhello = \"a b\"\n[spool]\npath = \"\"\n"
                     "keep_done = \"30\"\n[engine]\nshards = \"two\"\n"),
            "sluice.toml:2:8: smtp.port must be between 1 and 65535, not 70000\n"
            "sluice.toml:3:9: smtp.hello = \"a b\" is not a host name; write one such as "
            "\"mta.example.com\", or an address literal such as \"[192.0.2.1]\"\n"
            "sluice.toml:5:8: spool.path is empty; give it a value or remove it\n"
            "sluice.toml:6:13: spool.keep_done = \"30\" lacks a unit; write a number with its "
            "unit, such as \"30s\", \"5m\" or \"3d\"\n"
            "sluice.toml:8:10: engine.shards must be a whole number, not a string");
}

TEST(Configuration, TlsIsOpportunisticUntilItSaysOtherwise) {
  const auto none = parse("");
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->tls.policy, TlsPolicy::kOpportunistic);
  EXPECT_TRUE(none->tls.dane && none->tls.mta_sts && none->tls.ca_file.empty());
  EXPECT_FALSE(none->dns.trust_ad);
  const auto all = parse(
      "[tls]\npolicy = \"verified\"\ndane = false\nmta_sts = false\nca_file = \"roots.pem\"\n"
      "[dns]\ntrust_ad = true\n");
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->tls.policy, TlsPolicy::kVerified);
  EXPECT_FALSE(all->tls.dane || all->tls.mta_sts);
  EXPECT_EQ(all->tls.ca_file, "/etc/sluice/roots.pem");
  EXPECT_TRUE(all->dns.trust_ad);
  EXPECT_THAT(mistakes("[tls]\npolicy = \"tough\"\n"), HasSubstr("write one of \"none\""));
}

TEST(Configuration, KeysOfTokens) {
  const auto config = parse(
      "[verp]\nkey = \"verp.key\"\ndelimiter = \"-\"\n"
      "[unsubscribe]\nkey = \"/etc/u.key\"\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->verp.key, "/etc/sluice/verp.key") << "beside the configuration file";
  EXPECT_EQ(config->verp.delimiter, "-");
  EXPECT_EQ(config->unsubscribe.key, "/etc/u.key");
  EXPECT_EQ(parse("")->verp.delimiter, "+");
  for (const char* odd : {"++", "a", "@", "."}) {
    EXPECT_THAT(mistakes("[verp]\ndelimiter = \"" + std::string(odd) + "\"\n"),
                HasSubstr("sluice.toml:2:13: verp.delimiter"))
        << odd;
  }
}

TEST(Configuration, SourcesAndPoolsMustFit) {
  EXPECT_THAT(mistakes("[[source]]\nname = \"a\"\n[[source]]\nname = \"a\"\n"),
              HasSubstr("sluice.toml:4:8: source.name = \"a\" is taken by one above"));
  EXPECT_THAT(mistakes("[[source]]\nhello = \"x.example\"\n"),
              HasSubstr("sluice.toml:1:1: source.name is missing"));
  EXPECT_THAT(mistakes("[[source]]\nname = \"a b\"\n"), HasSubstr("cannot be a name"));
  EXPECT_THAT(mistakes("[[source]]\nname = \"main\"\n[[pool]]\nname = \"p\"\n"
                       "sources = [\"mian\"]\n"),
              HasSubstr("sluice.toml:5:12: pool.sources names \"mian\", but no [[source]] has "
                        "that name; did you mean \"main\"?"));
  EXPECT_THAT(mistakes("[[pool]]\nname = \"p\"\nsources = [\"default\", \"default\"]\n"),
              HasSubstr("twice"));
  EXPECT_THAT(mistakes("[[pool]]\nname = \"p\"\nsources = []\n"), HasSubstr("at least one"));
  EXPECT_THAT(mistakes("[[pool]]\nname = \"p\"\n"), HasSubstr("pool.sources is missing"));
  EXPECT_THAT(mistakes("[[pool]]\nname = \"p\"\nsources = [{ source = \"default\", weight = 0 }]"),
              HasSubstr("pool.sources.weight must be between 1"));
  EXPECT_THAT(mistakes("[[pool]]\nname = \"p\"\nsources = [{ weight = 1 }, 3]"),
              HasSubstr("pool.sources.source is missing"));
  EXPECT_THAT(mistakes("[[source]]\nname = \"a\"\naddress = [\"192.0.2.1\", \"192.0.2.2\"]\n"),
              HasSubstr("second of its family"));
  EXPECT_THAT(mistakes("[[source]]\nname = \"a\"\naddress = \"mail.example\"\n"),
              HasSubstr("not an IP address"));
  EXPECT_THAT(mistakes("[source]\nname = \"a\"\n"), HasSubstr("[[source]]"));
  EXPECT_EQ(mistakes("source = []\npool = []\n"), "none");
}

TEST(Configuration, APoolOfAllSourcesIsMadeWhereNoneIsNamed) {
  const auto c = parse("[[source]]\nname = \"a\"\n[[source]]\nname = \"b\"\n");
  ASSERT_TRUE(c.ok());
  ASSERT_EQ(c->pools.size(), 1U);
  EXPECT_EQ(c->pools[0].name, "default");
  EXPECT_EQ(c->pools[0].members.size(), 2U);
}

TEST(Configuration, HelloIsAHostNameOrALiteral) {
  const auto good = [](const std::string& hello) {
    return mistakes("[smtp]\nhello = '" + hello + "'\n") == "none";
  };
  for (const char* hello :
       {"", "localhost", "mta-1.example.com", "[192.0.2.1]", "[IPv6:2001:db8::1]", "x.1a"}) {
    EXPECT_TRUE(good(hello)) << hello;
  }
  for (const char* hello :
       {"192.0.2.1", "a..b", "-a.example", "a-.example", "a.example.", "a_b", "[192.0.2]",
        "[2001:db8::1]", "[IPv6:192.0.2.1]", "[", "[]", "m\xC3\xBCller.example"}) {
    EXPECT_FALSE(good(hello)) << hello;
  }
  EXPECT_FALSE(good(std::string(64, 'a') + ".example"));
}

TEST(Configuration, ShapingFilesAreReadBesideTheFileInOrder) {
  files()["/etc/sluice/a.toml"] = "[\"x.example\"]\nconnection_limit = 1\n";
  files()["/shared/b.toml"] =
      "[\"default\"]\nconnection_limit = 2\n[\"x.example\"]\nehlo_domain = \"x\"\n";
  std::vector<std::string> warnings;
  const auto c = parse("[shaping]\nfiles = [\"a.toml\", \"/shared/b.toml\"]\n", &warnings);
  ASSERT_TRUE(c.ok()) << c.status();
  ASSERT_EQ(c->shaping.size(), 3U);
  EXPECT_EQ(c->shaping[0].file, "/etc/sluice/a.toml");
  EXPECT_EQ(c->shaping[1].domain, "default");
  EXPECT_EQ(c->shaping[2].file, "/shared/b.toml");
  EXPECT_THAT(warnings, ElementsAre("/shared/b.toml: not built yet and without effect: "
                                    "ehlo_domain (line 4)"));

  EXPECT_EQ(mistakes("[shaping]\nfiles = [\"none.toml\"]\n"),
            "sluice.toml:2:10: shaping.files names \"none.toml\", which cannot be read: "
            "none.toml: no such file");
  files()["bad.toml"] = "[\"default\"]\nconection_limit = 2\n";
  EXPECT_EQ(mistakes("[shaping]\nfiles = [\"bad.toml\"]\n"),
            "bad.toml:2:1: unknown key default.conection_limit; did you mean "
            "default.connection_limit?");
  EXPECT_THAT(mistakes("[shaping]\nfiles = [\"/shared/b.toml\", \"/shared/b.toml\"]\n"),
              HasSubstr("twice"));
}

TEST(Configuration, RangesAndRelationsAreChecked) {
  EXPECT_THAT(mistakes("[retry]\nretry_interval = \"5h\"\n"),
              HasSubstr("max_retry_interval is shorter"));
  EXPECT_THAT(mistakes("[record]\nrotate = 10\n"), HasSubstr("record.rotate must be between"));
  EXPECT_THAT(mistakes("[record]\nrotate = \"1KiB\"\n"), HasSubstr("must be at least 64KiB"));
  EXPECT_THAT(mistakes("[admin]\nlisten = \"localhost:1\"\n"), HasSubstr("127.0.0.1:2580"));
  EXPECT_THAT(mistakes("[admin]\nsocket = \"/" + std::string(107, 'a') + "\"\n"),
              HasSubstr("107 octets"));
  EXPECT_THAT(mistakes("[dns]\nservers = [\"ns.example\"]\n"), HasSubstr("not an address"));
  EXPECT_THAT(mistakes("[dns]\nservers = [1]\n"), HasSubstr("must hold strings"));
  EXPECT_THAT(mistakes("[dns.route]\n\"a\" = \"192.0.2.1\"\n\"A.\" = \"192.0.2.1\"\n"),
              HasSubstr("second route"));
  EXPECT_THAT(mistakes("[dns.route]\n\"a\" = []\n"), HasSubstr("names no server"));
  EXPECT_THAT(mistakes("[dns.route]\n\"..\" = \"192.0.2.1\"\n"), HasSubstr("not a domain"));
  EXPECT_THAT(mistakes("[smtp]\nallowed_networks = [\"10.0.0.0/40\"]\n"),
              HasSubstr("not a network"));
  EXPECT_THAT(mistakes("[smtp]\naddress_family = \"ipv5\"\n"), HasSubstr("\"prefer-ipv6\""));
  EXPECT_THAT(mistakes("[spool]\npath = \"a\\nb\"\n"), HasSubstr("control character"));
  EXPECT_THAT(mistakes("[spool]\nkeep_done = 30\n"), HasSubstr("with its unit"));
  EXPECT_THAT(mistakes("smtp = 3\n"), HasSubstr("smtp must be a table"));
}

TEST(Configuration, MalformedTextIsRefusedWithItsPlace) {
  EXPECT_THAT(mistakes("[smtp\n"), HasSubstr("sluice.toml:1:6: not valid TOML"));
  EXPECT_THAT(mistakes("[smtp]\nport = 1\nport = 2\n"), HasSubstr("sluice.toml:3:"));
  EXPECT_THAT(mistakes("a = '\xFF'\n"), HasSubstr("utf-8"));
  EXPECT_THAT(mistakes(std::string(5UL << 20, '\n')), HasSubstr("larger than 4 MiB"));
}

TEST(Configuration, DeepNestingIsRefusedBeforeItCanExhaustTheStack) {
  std::string dots = "a";
  for (int i = 0; i < 100'000; ++i) dots += ".a";
  EXPECT_EQ(mistakes("\n" + dots + " = 1\n"),
            "sluice.toml:2:1: more than 16 dots outside quotes; put names with dots into quotes");
  EXPECT_THAT(mistakes("a = " + std::string(100'000, '[')), HasSubstr("nested"));
  // The deepest document that passes: dotted keys in inline tables in arrays.
  std::string deep = "x = [\n";
  for (int i = 0; i < 120; ++i) deep += "{ a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = [\n";
  EXPECT_NE(mistakes(deep), "none");
  // Dots in strings and comments do not count.
  EXPECT_EQ(mistakes("# " + std::string(99, '.') + "\n[spool]\npath = \"" + std::string(99, '.') +
                     "\" # ....................\n"),
            "none");
  EXPECT_THAT(mistakes("x = \"\"\"\n" + std::string(99, '.') + "\n\\\"\"\"\" # ok\n"),
              HasSubstr("unknown key x"));
}

TEST(Configuration, ManyMistakesAreCutShort) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "unknown" + std::to_string(i) + " = 1\n";
  const std::string told = mistakes(text);
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 50);
  EXPECT_THAT(told, HasSubstr("and 10 more mistakes"));
}

}  // namespace
}  // namespace sluice
