#include <gtest/gtest.h>

#include <numeric>

#include "tests/unit/connect/tls_pair.h"

namespace sluice {
namespace {

using namespace tls_test;

class TlsWireTest : public ::testing::TestWithParam<int> {
 protected:
  std::unique_ptr<TlsEngine> connect() {
    return factory_->connect(demand_of(TlsCheck::kNames), kExchanger, Instant{});
  }

  Authority authority_;
  Identity identity_ = authority_.server({});
  // Without tickets: each session is a full one.
  Context context_ = authority_.context(
      identity_, {.version_min = GetParam(), .version_max = GetParam(), .tickets = false});
  std::unique_ptr<OpenSslFactory> factory_ = authority_.factory(0);
};

INSTANTIATE_TEST_SUITE_P(Versions, TlsWireTest, ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(TlsWireTest, OctetByOctet) {
  for (const size_t step : {1, 2, 3, 5, 7, 100}) {
    Server server(context_.get());
    const auto engine = connect();
    std::string heard;
    ASSERT_TRUE(converse(*engine, server, heard, step));
    ASSERT_TRUE(engine->open());
    ASSERT_EQ(write_text(*engine, "EHLO a.example\r\n"), 16U);
    ASSERT_TRUE(converse(*engine, server, heard, step));
    EXPECT_EQ(server.heard(), "EHLO a.example\r\n");
    server.say("250 b.example\r\n");
    server.end();
    ASSERT_TRUE(converse(*engine, server, heard, step));
    EXPECT_EQ(heard, "250 b.example\r\n");
    EXPECT_TRUE(engine->ended());
    EXPECT_FALSE(engine->failed());
    engine->receive_end();
    EXPECT_FALSE(engine->failed());
  }
}

TEST_P(TlsWireTest, EveryCutOfWhatTheServerSays) {
  size_t octets = 1;
  for (size_t cut = 0; cut < octets; ++cut) {
    Server server(context_.get());
    const auto engine = connect();
    std::string heard;
    octets = 0;
    while (true) {
      const std::string to_client = server.exchange(take_outgoing(*engine));
      if (to_client.empty()) break;
      const size_t here = cut > octets ? std::min(cut - octets, to_client.size()) : 0;
      octets += to_client.size();
      feed(*engine, std::string_view(to_client).substr(0, here), SIZE_MAX, heard);
      feed(*engine, std::string_view(to_client).substr(here), SIZE_MAX, heard);
    }
    ASSERT_TRUE(engine->open()) << cut;
  }
  EXPECT_GT(octets, 500U);
}

TEST_P(TlsWireTest, AFlippedBitNeverPasses) {
  // Of the handshake's octets, and then of a record each way.
  size_t octets = 1;
  size_t refused = 0;
  for (size_t at = 0; at < octets; ++at) {
    Server server(context_.get());
    const auto engine = connect();
    std::string heard;
    octets = 0;
    bool flipped = false;
    const Tamper flip = [&](bool /*to_client*/, std::string& text) {
      if (at >= octets && at - octets < text.size()) {
        text[at - octets] = static_cast<char>(text[at - octets] ^ (1 << (at % 8)));
        flipped = true;
      }
      octets += text.size();
    };
    ASSERT_TRUE(converse(*engine, server, heard, SIZE_MAX, flip)) << at;
    const bool both = engine->open() && server.open() && !engine->failed() && !server.failed();
    if (both) {
      (void)write_text(*engine, "MAIL FROM:<>\r\n");
      server.say("250 ok\r\n");
      ASSERT_TRUE(converse(*engine, server, heard, SIZE_MAX, flip)) << at;
    }
    // A record's own version is not looked at; whatever is read is what was said.
    const bool through = heard == "250 ok\r\n" && server.heard() == "MAIL FROM:<>\r\n";
    const bool broken = engine->failed() || server.failed();
    const bool stuck = heard.empty() || server.heard().empty();
    EXPECT_TRUE(through || broken || stuck) << at << " " << heard << server.heard();
    EXPECT_TRUE(heard.empty() || heard == "250 ok\r\n") << at;
    EXPECT_TRUE(server.heard().empty() || server.heard() == "MAIL FROM:<>\r\n") << at;
    EXPECT_TRUE(flipped || at >= octets);
    refused += through ? 0 : 1;
    EXPECT_TRUE(!engine->failed() || !engine->failure().text.empty()) << at;
  }
  EXPECT_GT(refused, octets - 40) << "of " << octets;
}

TEST_P(TlsWireTest, TruncationIsToldAtEachOctet) {
  size_t octets = 1;
  for (size_t cut = 0; cut < octets; ++cut) {
    Server server(context_.get());
    const auto engine = connect();
    std::string heard;
    octets = 0;
    const Tamper truncate = [&](bool to_client, std::string& text) {
      if (!to_client) return;
      const size_t before = octets;
      octets += text.size();
      if (octets > cut) text.resize(cut > before ? cut - before : 0);
    };
    ASSERT_TRUE(converse(*engine, server, heard, SIZE_MAX, truncate));
    if (octets == cut) break;
    const bool open = engine->open();
    engine->receive_end();
    ASSERT_TRUE(engine->failed()) << cut;
    EXPECT_EQ(engine->failure().kind, TlsFailureKind::kTruncated) << cut;
    EXPECT_EQ(engine->open(), open);
  }
  EXPECT_GT(octets, 500U);
}

TEST_P(TlsWireTest, AMebibyteEachWay) {
  Server server(context_.get());
  const auto engine = connect();
  ASSERT_TRUE(shake_hands(*engine, server));
  std::string text(1 << 20, '\0');
  std::iota(text.begin(), text.end(), '\0');
  server.say(text);
  // Pieces of all sizes, some empty.
  std::vector<iovec> pieces;
  size_t at = 0;
  for (size_t size = 0; at < text.size(); size = (size * 3 + 1) % 40'009) {
    const size_t here = std::min(size, text.size() - at);
    pieces.push_back({text.data() + at, here});
    at += here;
  }
  std::string heard;
  size_t first = 0;
  for (int round = 0; round < 10'000 && first < pieces.size(); ++round) {
    size_t taken = engine->write(std::span(pieces).subspan(first));
    EXPECT_LE(engine->outgoing().size(), TlsEngine::kOutgoingMax);
    while (first < pieces.size() && taken >= pieces[first].iov_len) {
      taken -= pieces[first++].iov_len;
    }
    if (first < pieces.size()) {
      pieces[first].iov_base = static_cast<char*>(pieces[first].iov_base) + taken;
      pieces[first].iov_len -= taken;
    }
    const std::string_view out = engine->outgoing();
    const std::string to_client = server.exchange(out.substr(0, 10'000));
    engine->sent(std::min<size_t>(out.size(), 10'000));
    feed(*engine, to_client, 1'500, heard);
  }
  ASSERT_TRUE(converse(*engine, server, heard));
  EXPECT_TRUE(server.heard() == text);
  EXPECT_TRUE(heard == text);
  EXPECT_FALSE(engine->failed());
}

TEST_P(TlsWireTest, OctetsLieStillUntilTheyAreSent) {
  Server server(context_.get());
  const auto engine = connect();
  ASSERT_TRUE(shake_hands(*engine, server));
  ASSERT_GT(write_text(*engine, std::string(16'384, 'x')), 0U);
  const std::string_view lent = engine->outgoing();
  const std::string copy(lent);
  std::string heard;
  for (int i = 0; i < 100; ++i) {
    server.say("250 ok\r\n");
    // The answer to a change of keys waits behind.
    if (GetParam() == TLS1_3_VERSION) SSL_key_update(server.session(), SSL_KEY_UPDATE_REQUESTED);
    feed(*engine, server.exchange({}), SIZE_MAX, heard);
    (void)write_text(*engine, std::string(10'000, 'y'));
    ASSERT_EQ(engine->outgoing().data(), lent.data());
  }
  EXPECT_EQ(engine->outgoing().substr(0, copy.size()), copy);
  ASSERT_FALSE(engine->failed());
  ASSERT_TRUE(converse(*engine, server, heard));
  EXPECT_FALSE(server.failed());
  EXPECT_EQ(heard.size(), 800U);
}

TEST_P(TlsWireTest, RestKeepsWhatWaits) {
  Server server(context_.get());
  const auto engine = connect();
  std::string heard;
  ASSERT_TRUE(shake_hands(*engine, server));
  ASSERT_EQ(write_text(*engine, "NOOP\r\n"), 6U);
  engine->rest();
  ASSERT_TRUE(converse(*engine, server, heard));
  EXPECT_EQ(server.heard(), "NOOP\r\n");
  server.say("250 ok\r\n");
  const std::string to_client = server.exchange({});
  // Half of a record, then rest, then the other half.
  (void)engine->receive(to_client.substr(0, 10));
  engine->rest();
  feed(*engine, to_client.substr(10), SIZE_MAX, heard);
  EXPECT_EQ(heard, "250 ok\r\n");
  engine->rest();
  ASSERT_EQ(write_text(*engine, "QUIT\r\n"), 6U);
  engine->end();
  ASSERT_TRUE(converse(*engine, server, heard));
  EXPECT_EQ(server.heard(), "NOOP\r\nQUIT\r\n");
  EXPECT_TRUE(server.ended());
}

}  // namespace
}  // namespace sluice
