#include "tools/sink/zones.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice::sink {
namespace {

using resolver_cache::Message;
using resolver_cache::Query;
using resolver_cache::Rcode;
using resolver_cache::RecordType;

std::vector<IpAddress> addresses() {
  return {*parse_ip("127.0.1.1"), *parse_ip("127.0.1.2"), *parse_ip("::1")};
}

std::optional<Message> ask(const Zones& zones, const std::string& name, RecordType type) {
  Query query;
  query.name = name;
  query.type = type;
  return zones.answer(query);
}

TEST(Zones, EveryDomainHasAnExchanger) {
  const auto zones = Zones::parse(DnsOptions{}, addresses(), "", "");
  ASSERT_TRUE(zones.ok());
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const auto mx = ask(*zones, "d" + std::to_string(i) + ".test", RecordType::kMx);
    ASSERT_TRUE(mx && mx->answers.size() == 1);
    seen.insert(mx->answers[0].data);
  }
  EXPECT_EQ(seen,
            (std::set<std::string>{"mx1.sink.example", "mx2.sink.example", "mx3.sink.example"}));
  EXPECT_EQ(ask(*zones, "mx2.sink.example", RecordType::kA)->answers[0].data,
            std::string("\x7F\x00\x01\x02", 4));
  EXPECT_EQ(ask(*zones, "mx3.sink.example", RecordType::kAaaa)->answers.size(), 1U);
  EXPECT_EQ(ask(*zones, "mx3.sink.example", RecordType::kA)->answers.size(), 0U);
  EXPECT_EQ(ask(*zones, "mx4.sink.example", RecordType::kA)->rcode, Rcode::kNameError);
  const auto none = ask(*zones, "d1.test", RecordType::kA);
  EXPECT_EQ(none->rcode, Rcode::kNoError);
  ASSERT_EQ(none->authority.size(), 1U);
  EXPECT_TRUE(none->authority[0].soa.has_value());
  EXPECT_EQ(ask(*zones, "_mta-sts.d1.test", RecordType::kTxt)->rcode, Rcode::kNameError);
}

TEST(Zones, SeveralExchangersWrapAround) {
  DnsOptions options;
  options.exchangers = 5;
  options.exchangers_a_domain = 3;
  options.zones = {"Test.Example."};
  const auto zones = Zones::parse(options, addresses(), "", "");
  ASSERT_TRUE(zones.ok());
  const auto mx = ask(*zones, "a.test.example", RecordType::kMx);
  ASSERT_EQ(mx->answers.size(), 3U);
  EXPECT_EQ(mx->answers[0].preference, 10);
  EXPECT_EQ(mx->answers[2].preference, 30);
  const uint32_t first = zones->first_exchanger_of("a.test.example");
  EXPECT_EQ(mx->answers[2].data, "mx" + std::to_string((first + 2) % 5 + 1) + ".sink.example");
  EXPECT_EQ(ask(*zones, "a.example", RecordType::kMx)->rcode, Rcode::kRefused);
  EXPECT_EQ(ask(*zones, "mx4.sink.example", RecordType::kA)->answers[0].data,
            std::string("\x7F\x00\x01\x01", 4));
}

TEST(Zones, FileGoesFirst) {
  constexpr std::string_view kText =
      "# all kinds\n"
      "a.example MX 10 mx.a.example\n"
      "a.example MX 20 mx2.a.example\n"
      "TTL 60\n"
      "mx.a.example A 127.0.0.9\n"
      "mx.a.example AAAA ::9\n"
      "null.example NULLMX\n"
      "gone.example NXDOMAIN\n"
      "broken.example SERVFAIL\n"
      "silent.example TIMEOUT\n"
      "empty.example NODATA\n"
      "alias.example CNAME a.example\n"
      "loop.example CNAME loop.example\n"
      "text.example TXT v=spf1 -all\n"
      "*.wild.example MX 5 mx.a.example\r\n";
  const auto zones = Zones::parse(DnsOptions{}, addresses(), kText, "zones.txt");
  ASSERT_TRUE(zones.ok()) << message_of(zones.status());
  EXPECT_EQ(ask(*zones, "a.example", RecordType::kMx)->answers.size(), 2U);
  EXPECT_EQ(ask(*zones, "mx.a.example", RecordType::kA)->answers[0].ttl, 60U);
  EXPECT_EQ(ask(*zones, "null.example", RecordType::kMx)->answers[0].data, "");
  EXPECT_EQ(ask(*zones, "gone.example", RecordType::kMx)->rcode, Rcode::kNameError);
  EXPECT_EQ(ask(*zones, "broken.example", RecordType::kMx)->rcode, Rcode::kServerFailure);
  EXPECT_FALSE(ask(*zones, "silent.example", RecordType::kMx).has_value());
  EXPECT_EQ(ask(*zones, "empty.example", RecordType::kMx)->authority.size(), 1U);
  EXPECT_EQ(ask(*zones, "alias.example", RecordType::kMx)->answers.size(), 3U);
  EXPECT_EQ(ask(*zones, "loop.example", RecordType::kMx)->answers.size(), 9U);
  EXPECT_EQ(ask(*zones, "text.example", RecordType::kTxt)->answers[0].data, "v=spf1 -all");
  const auto wild = ask(*zones, "x.y.wild.example", RecordType::kMx);
  ASSERT_EQ(wild->answers.size(), 1U);
  EXPECT_EQ(wild->answers[0].name, "x.y.wild.example");
  EXPECT_EQ(ask(*zones, "wild.example", RecordType::kMx)->rcode, Rcode::kNameError);
}

TEST(Zones, FileErrorsNameTheLine) {
  for (const char* bad : {"a.example", "a.example MX x y", "a.example A ::1", "a..b A 127.0.0.1",
                          "a.example FOO 1", "TTL x"}) {
    const auto zones = Zones::parse(DnsOptions{}, addresses(), std::string("\n") + bad, "z");
    ASSERT_FALSE(zones.ok()) << bad;
    EXPECT_EQ(message_of(zones.status()).substr(0, 4), "z:2:") << bad;
  }
}

}  // namespace
}  // namespace sluice::sink
