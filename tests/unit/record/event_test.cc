#include "engine/record/event.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/record/journal_builder.h"

namespace sluice {
namespace {

using nlohmann::json;

JournalEntry delivered_entry() {
  JournalEntry e;
  e.job = "july-news-1";
  e.segment = 2;
  e.row = 7;
  e.state = State::kDelivered;
  e.code = 250;
  e.enhanced = {2, 0, 0};
  e.text = "OK queued as \"A1\"";
  e.command = ".";
  e.attempts = 1;
  e.at = kStart + 1'500ms;
  e.first_at = kStart;
  e.size = 1'047;
  e.site = "mx.example.com";
  e.exchanger = "mx.example.com";
  e.peer = {*parse_ip("192.0.2.7"), 25};
  e.source = "s1";
  e.sender = "bounce@example.com";
  e.session = 9;
  return e;
}

TEST(Event, HasTheNamesThatWePromise) {
  EventContext context;
  context.row = 70'000;
  context.recipient = "a@example.com";
  context.queue = "example.com";
  context.pool = "default";
  context.source_address = "192.0.2.10";
  const std::string line = event_json(delivered_entry(), context);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const json event = json::parse(line);
  EXPECT_EQ(event["type"], "Delivery");
  EXPECT_EQ(event["id"].get<std::string>().size(), 32u);
  EXPECT_EQ(event["job"], "july-news-1");
  EXPECT_EQ(event["row"], 70'000);
  EXPECT_EQ(event["sender"], "bounce@example.com");
  EXPECT_EQ(event["recipient"], "a@example.com");
  EXPECT_EQ(event["queue"], "example.com");
  EXPECT_EQ(event["site"], "mx.example.com");
  EXPECT_EQ(event["size"], 1'047);
  EXPECT_EQ(event["response"]["code"], 250);
  EXPECT_EQ(event["response"]["enhanced_code"]["class"], 2);
  EXPECT_EQ(event["response"]["content"], "OK queued as \"A1\"");
  EXPECT_EQ(event["response"]["command"], ".");
  EXPECT_EQ(event["peer_address"]["name"], "mx.example.com");
  EXPECT_EQ(event["peer_address"]["addr"], "192.0.2.7");
  EXPECT_EQ(event["source_address"]["address"], "192.0.2.10");
  EXPECT_EQ(event["egress_pool"], "default");
  EXPECT_EQ(event["egress_source"], "s1");
  EXPECT_EQ(event["timestamp"], 1'700'000'001);
  EXPECT_EQ(event["event_time"], "2023-11-14T22:13:21.500000Z");
  EXPECT_EQ(event["created"], 1'700'000'000);
  EXPECT_EQ(event["num_attempts"], 1);
  EXPECT_EQ(event["delivery_protocol"], "ESMTP");
  EXPECT_EQ(event["session_id"], "9");
  EXPECT_FALSE(event.contains("maybe_delivered"));
  EXPECT_FALSE(event.contains("dns_stale"));
}

TEST(Event, MarksWhatIsDoubtful) {
  JournalEntry entry = delivered_entry();
  entry.maybe_delivered = true;
  entry.dns_stale = true;
  const json event = json::parse(event_json(entry, EventContext()));
  EXPECT_EQ(event["maybe_delivered"], true);
  EXPECT_EQ(event["dns_stale"], true);
}

TEST(Event, TheIdNamesThePlaceInTheJournal) {
  const auto id = [](const EventPlace& place) {
    EventContext context;
    context.place = place;
    return json::parse(event_json(delivered_entry(), context))["id"].get<std::string>();
  };
  const EventPlace place{kStart + 7ns, 3, 17, 4};
  EXPECT_EQ(id(place),
            "17979cfe362a0007"
            "003"
            "00011"
            "00000004");
  EXPECT_NE(id({kStart + 8ns, 3, 17, 4}), id(place));
  EXPECT_NE(id({kStart + 7ns, 2, 17, 4}), id(place));
  EXPECT_NE(id({kStart + 7ns, 3, 18, 4}), id(place));
  EXPECT_NE(id({kStart + 7ns, 3, 17, 5}), id(place));
}

TEST(Event, HostileOctetsStayValidJson) {
  JournalEntry e = delivered_entry();
  e.text = "bad \xFF\x01 octets\nand lines, \xC3\xA9, cut \xE2\x82, \x7F\xC0\x80 \\ \"";
  e.peer = {};
  const std::string line = event_json(e, {});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const json event = json::parse(line);
  EXPECT_EQ(event["response"]["content"].get<std::string>(),
            "bad \u00ff\u0001 octets\nand lines, \u00e9, cut \u00e2\u0082, "
            "\u007f\u00c0\u0080 \\ \"");
  EXPECT_FALSE(event.contains("peer_address"));
  EXPECT_FALSE(event.contains("recipient"));
}

TEST(Event, AnyOctetsGiveAValidLine) {
  JournalEntry e = delivered_entry();
  for (int first = 0; first < 256; ++first) {
    std::string text;
    for (int second = 0; second < 256; ++second) {
      text += static_cast<char>(first);
      text += static_cast<char>(second);
    }
    e.text = text;
    EXPECT_TRUE(json::accept(event_json(e, {}))) << first;
  }
}

TEST(Event, PeersOfBothFamiliesAndTimesBeforeTheEpoch) {
  JournalEntry e = delivered_entry();
  e.peer = {*parse_ip("2001:db8::7"), 25};
  e.at = WallTime(-1us);
  const json event = json::parse(event_json(e, {}));
  EXPECT_EQ(event["peer_address"]["addr"], "2001:db8::7");
  EXPECT_EQ(event["event_time"], "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(event["timestamp"], -1);
}

TEST(Event, EveryStateThatIsRecordedHasAType) {
  EXPECT_EQ(event_type(State::kDeferred), "TransientFailure");
  EXPECT_EQ(event_type(State::kBounced), "Bounce");
  EXPECT_EQ(event_type(State::kExpired), "Expiration");
  EXPECT_EQ(event_type(State::kCancelled), "AdminBounce");
  EXPECT_EQ(event_type(State::kRejected), "Rejection");
  EXPECT_EQ(event_type(State::kSuppressed), "Suppression");
}

}  // namespace
}  // namespace sluice
