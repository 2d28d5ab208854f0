#include "resolver_cache/dns_message.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace resolver_cache {
namespace {

using std::string_literals::operator""s;

std::string header(uint16_t flags, uint16_t questions, uint16_t answers) {
  std::string packet = "\x12\x34"s;
  for (const unsigned value : {unsigned{flags}, unsigned{questions}, unsigned{answers}, 0U, 0U}) {
    packet.push_back(static_cast<char>(value >> 8));
    packet.push_back(static_cast<char>(value & 0xFF));
  }
  return packet;
}

Message mx_response() {
  Query query;
  query.name = "example.com";
  query.type = RecordType::kMx;
  query.id = 77;
  Message message = response_to(query);
  message.authoritative = true;
  message.answers.push_back(make_mx("example.com", 300, 10, "mx1.example.com"));
  message.answers.push_back(make_mx("example.com", 300, 20, "mx2.example.com"));
  message.additional.push_back(make_a("mx1.example.com", 60, {192, 0, 2, 1}));
  return message;
}

TEST(CanonicalName, LowersAndEscapes) {
  EXPECT_EQ(canonical_name("Example.COM."), "example.com");
  EXPECT_EQ(canonical_name("."), "");
  EXPECT_EQ(canonical_name(""), "");
  EXPECT_EQ(canonical_name("_dmarc.ex-ample.com"), "_dmarc.ex-ample.com");
  EXPECT_EQ(canonical_name("a b.com"), "a\\032b.com");
  EXPECT_EQ(canonical_name("a\\032b.com"), "a\\032b.com");
  EXPECT_EQ(canonical_name("\\065.com"), "a.com");
}

TEST(CanonicalName, RefusesWhatIsNoName) {
  EXPECT_FALSE(canonical_name("a..b"));
  EXPECT_FALSE(canonical_name(".a"));
  EXPECT_FALSE(canonical_name("a\\25"));
  EXPECT_FALSE(canonical_name("a\\999"));
  EXPECT_FALSE(canonical_name(std::string(64, 'x') + ".com"));
  EXPECT_TRUE(canonical_name(std::string(63, 'x') + ".com"));
}

TEST(CanonicalName, HoldsExactly255OctetsOnTheWire) {
  std::string name;  // 4 labels of 62: 4 * 63 + 1 = 253
  for (int i = 0; i < 4; ++i) name += std::string(62, 'a') + ".";
  EXPECT_TRUE(canonical_name(name + "b"));  // 255
  EXPECT_FALSE(canonical_name(name + "bc"));
}

TEST(Query, RoundTrip) {
  Query query;
  query.name = "example.com";
  query.type = RecordType::kMx;
  query.id = 0xBEEF;
  const std::string packet = encode_query(query).value();
  // The OPT record is last: 11 octets, type 41, payload 1232.
  ASSERT_GT(packet.size(), 11U);
  EXPECT_EQ(packet.substr(packet.size() - 11), "\0\0\x29\x04\xD0\0\0\0\0\0\0"s);
  const Query back = parse_query(packet).value();
  EXPECT_EQ(back.name, "example.com");
  EXPECT_EQ(back.type, RecordType::kMx);
  EXPECT_EQ(back.id, 0xBEEF);
  EXPECT_TRUE(back.recursion_desired);
  EXPECT_TRUE(back.authentic_data);
  EXPECT_EQ(back.udp_payload_bytes, 1232);
}

TEST(Query, WithoutEdns) {
  Query query;
  query.name = "example.com";
  query.udp_payload_bytes = 0;
  query.authentic_data = false;
  const Query back = parse_query(encode_query(query).value()).value();
  EXPECT_EQ(back.udp_payload_bytes, 0);
  EXPECT_FALSE(back.authentic_data);
}

TEST(Query, RefusesResponsesAndStrangeOpcodes) {
  const std::string question = "\1a\0\0\1\0\1"s;
  EXPECT_TRUE(parse_query(header(0x0100, 1, 0) + question));
  EXPECT_FALSE(parse_query(header(0x8100, 1, 0) + question));
  EXPECT_FALSE(parse_query(header(0x2100, 1, 0) + question));
  EXPECT_FALSE(parse_query(header(0x0100, 0, 0)));
  EXPECT_FALSE(parse_query(header(0x0100, 1, 0) + "\1a\0\0\1\0\3"s));  // class CHAOS
  EXPECT_FALSE(encode_query({"a..b"}));
}

TEST(Response, RoundTripOfEveryType) {
  Message message = mx_response();
  message.answers.push_back(make_cname("www.example.com", 5, "example.com"));
  message.answers.push_back(make_txt("example.com", 6, std::string(600, 't')));
  message.answers.push_back(make_aaaa("example.com", 7, {0x20, 0x01, 0x0d, 0xb8, 1}));
  Record tlsa;
  tlsa.name = "_25._tcp.mx1.example.com";
  tlsa.type = RecordType::kTlsa;
  tlsa.data = "\3\1\1abc";
  message.answers.push_back(tlsa);
  Soa soa;
  soa.primary = "ns.example.com";
  soa.mailbox = "hostmaster.example.com";
  soa.minimum = 42;
  message.authority.push_back(make_soa("example.com", 9, soa));
  const Message back = parse_message(encode_response(message, 65'535).value()).value();
  EXPECT_EQ(back.id, 77);
  EXPECT_TRUE(back.is_response);
  EXPECT_TRUE(back.authoritative);
  EXPECT_TRUE(back.has_edns);
  EXPECT_EQ(back.question_name, "example.com");
  ASSERT_EQ(back.answers.size(), 6U);
  EXPECT_EQ(back.answers[1].preference, 20);
  EXPECT_EQ(back.answers[1].data, "mx2.example.com");
  EXPECT_EQ(back.answers[2].data, "example.com");
  EXPECT_EQ(back.answers[3].data, std::string(600, 't'));
  EXPECT_EQ(back.answers[4].data.size(), 16U);
  EXPECT_EQ(back.answers[5].data, "\3\1\1abc");
  ASSERT_EQ(back.authority.size(), 1U);
  EXPECT_EQ(back.authority[0].soa->minimum, 42U);
  EXPECT_EQ(back.authority[0].soa->mailbox, "hostmaster.example.com");
  ASSERT_EQ(back.additional.size(), 1U);
  EXPECT_EQ(back.additional[0].data, "\xC0\0\2\1"s);
}

TEST(Response, CompressesRepeatedOwners) {
  const Message message = mx_response();
  const std::string packet = encode_response(message, 65'535).value();
  size_t count = 0;
  for (size_t at = packet.find("\7example\3com"); at != std::string::npos;
       at = packet.find("\7example\3com", at + 1)) {
    ++count;
  }
  EXPECT_EQ(count, 3U);  // question, mx1, mx2
}

TEST(Response, TruncatesToFit) {
  Message message = mx_response();
  for (uint16_t i = 0; i < 50; ++i) {
    message.answers.push_back(make_mx("example.com", 300, i, "m" + std::to_string(i) + ".org"));
  }
  const std::string packet = encode_response(message, 512).value();
  EXPECT_LE(packet.size(), 512U);
  const Message back = parse_message(packet).value();
  EXPECT_TRUE(back.truncated);
  EXPECT_TRUE(back.answers.empty());
  EXPECT_TRUE(back.has_edns);
  EXPECT_FALSE(parse_message(encode_response(message, 65'535).value()).value().truncated);
}

TEST(Response, NullMxIsTheRoot) {
  Message message = mx_response();
  message.answers = {make_mx("example.com", 300, 0, "")};
  const Message back = parse_message(encode_response(message, 512).value()).value();
  EXPECT_EQ(back.answers.at(0).data, "");
}

TEST(Parse, FollowsPointersBackwardsOnly) {
  const std::string question = "\1a\0\0\1\0\1"s;  // at 12
  const std::string tail = "\0\1\0\1\0\0\0\5\0\4\1\2\3\4"s;
  const auto good = parse_message(header(0x8000, 1, 1) + question + "\xC0\x0C"s + tail);
  ASSERT_TRUE(good);
  EXPECT_EQ(good->answers.at(0).name, "a");
  EXPECT_EQ(good->answers.at(0).ttl, 5U);
  // To itself, and forwards.
  EXPECT_FALSE(parse_message(header(0x8000, 1, 1) + question + "\xC0\x13"s + tail));
  EXPECT_FALSE(parse_message(header(0x8000, 1, 1) + question + "\xC0\x20"s + tail));
  // Two pointers to each other, one behind a label.
  EXPECT_FALSE(parse_message(header(0x8000, 1, 1) + question + "\1b\xC0\x13"s + tail));
  // Reserved label types.
  EXPECT_FALSE(parse_message(header(0x8000, 1, 1) + question + "\x80\x01"s + tail));
}

TEST(Parse, TtlWithTheTopBitIsZero) {
  const auto message = parse_message(header(0x8000, 0, 1) + "\1a\0\0\1\0\1\x80\0\0\1\0\4\1\2\3\4"s);
  EXPECT_EQ(message.value().answers.at(0).ttl, 0U);
}

TEST(Parse, EveryPrefixIsHandled) {
  Message message = mx_response();
  Soa soa;
  message.authority.push_back(make_soa("example.com", 9, soa));
  message.answers.push_back(make_txt("example.com", 6, "text"));
  const std::string packet = encode_response(message, 65'535).value();
  for (size_t length = 0; length < packet.size(); ++length) {
    // In a block of its own, so that a sanitizer sees a read beyond it.
    const auto copy = std::make_unique<char[]>(length + 1);
    packet.copy(copy.get(), length);
    EXPECT_FALSE(parse_message({copy.get(), length})) << length;
  }
}

TEST(Parse, TheLastOfAsManyRecordsAsFitIsSeen) {
  Message message;
  message.question_type = RecordType::kMx;
  const size_t fit = (65'535 - 17) / 14;  // header, question, records of the root
  for (size_t i = 0; i < fit; ++i) {
    const auto preference = static_cast<uint16_t>(fit - i);
    message.answers.push_back(make_mx("", 60, preference, ""));
  }
  const std::string packet = encode_response(message, 65'535).value();
  const auto parsed = parse_message(packet);
  ASSERT_TRUE(parsed);
  ASSERT_FALSE(parsed->truncated);
  ASSERT_EQ(parsed->answers.size(), fit);
  EXPECT_EQ(parsed->answers.back().preference, 1);
  EXPECT_GT(kRecordsMax, (65'535 - 12) / 11) << "no record is smaller";
}

TEST(Parse, EveryFlippedOctetIsHandled) {
  const std::string packet = encode_response(mx_response(), 65'535).value();
  for (size_t i = 0; i < packet.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string broken = packet;
      broken[i] = static_cast<char>(value);
      const auto message = parse_message(broken);
      if (!message) continue;
      EXPECT_LE(message->answers.size(), kRecordsMax);
    }
  }
}

TEST(Parse, RefusesTooManyRecordsAndWrongLengths) {
  EXPECT_FALSE(parse_message(header(0x8000, 0, 0xFFFF)));
  EXPECT_FALSE(parse_message(header(0x8000, 2, 0)));
  EXPECT_FALSE(parse_message(header(0x8000, 0, 1) + "\0\0\1\0\1\0\0\0\1\0\3abc"s));     // A of 3
  EXPECT_FALSE(parse_message(header(0x8000, 0, 1) + "\0\0\x10\0\1\0\0\0\1\0\3\5ab"s));  // TXT
  // An MX whose name ends before or behind its rdata.
  EXPECT_FALSE(parse_message(header(0x8000, 0, 1) + "\0\0\x0F\0\1\0\0\0\1\0\6\0\1\1a\0\0"s));
  EXPECT_FALSE(parse_message(header(0x8000, 0, 1) + "\0\0\x0F\0\1\0\0\0\1\0\4\0\1\1a\0"s));
}

TEST(Names, OfTypesAndCodes) {
  EXPECT_EQ(to_string(RecordType::kMx), "MX");
  EXPECT_EQ(to_string(static_cast<RecordType>(65)), "TYPE65");
  EXPECT_EQ(to_string(Rcode::kServerFailure), "SERVFAIL");
  EXPECT_EQ(to_string(static_cast<Rcode>(16)), "RCODE16");
}

}  // namespace
}  // namespace resolver_cache
