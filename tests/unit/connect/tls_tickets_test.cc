#include "engine/connect/tls_tickets.h"

#include <gtest/gtest.h>

#include "tests/unit/connect/tls_pair.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using namespace tls_test;

class TlsResumptionTest : public ::testing::Test {
 protected:
  // Connects, says a word each way so that tickets arrive, and goes away without a word.
  bool resumed(const TlsDemand& demand, const std::string& exchanger = kExchanger,
               Instant now = Instant{}) {
    return resumed_with(context_, demand, exchanger, now);
  }
  bool resumed_with(const Context& context, const TlsDemand& demand,
                    const std::string& exchanger = kExchanger, Instant now = Instant{}) {
    Server server(context.get());
    const auto engine = factory_->connect(demand, exchanger, now);
    std::string heard;
    EXPECT_TRUE(shake_hands(*engine, server));
    if (!engine->open()) return false;
    EXPECT_EQ(write_text(*engine, "NOOP\r\n"), 6U);
    EXPECT_TRUE(converse(*engine, server, heard));
    EXPECT_EQ(engine->facts().passed, demand.check);
    EXPECT_EQ(engine->facts().resumed, SSL_session_reused(server.session()) == 1);
    return engine->facts().resumed;
  }
  TlsDemand dane() {
    TlsDemand demand = demand_of(TlsCheck::kDane);
    demand.tlsa = {tlsa_of(identity_.certificate.get(), 3, 1, 1)};
    return demand;
  }

  Authority authority_;
  Identity identity_ = authority_.server({});
  Context context_ = authority_.context(identity_);
  std::unique_ptr<OpenSslFactory> factory_ = authority_.factory();
};

TEST_F(TlsResumptionTest, EachTicketServesOnce) {
  const TlsDemand demand = demand_of(TlsCheck::kNames);
  EXPECT_FALSE(resumed(demand));
  EXPECT_EQ(factory_->tickets(), 2U);
  EXPECT_TRUE(resumed(demand));
  // Taken when the session begins, also when it comes to nothing.
  const size_t before = factory_->tickets();
  { const auto given_up = factory_->connect(demand, kExchanger, Instant{}); }
  EXPECT_EQ(factory_->tickets(), before - 1);
}

TEST_F(TlsResumptionTest, ConnectionsThatAreReplacedTogetherEachFindATicket) {
  const TlsDemand demand = demand_of(TlsCheck::kNames);
  const int connections = 5;
  for (int i = 0; i < connections; ++i) {
    std::vector<std::unique_ptr<TlsEngine>> engines;
    // All begin before the first one's tickets come, as connections to one exchanger do.
    std::vector<std::unique_ptr<Server>> servers;
    for (int j = 0; j < connections; ++j) {
      servers.push_back(std::make_unique<Server>(context_.get()));
      engines.push_back(factory_->connect(demand, kExchanger, Instant{}));
    }
    for (int j = 0; j < connections; ++j) {
      std::string heard;
      ASSERT_TRUE(shake_hands(*engines[j], *servers[j]));
      EXPECT_TRUE(converse(*engines[j], *servers[j], heard));
      EXPECT_EQ(engines[j]->facts().resumed, i > 0) << i << " " << j;
    }
  }
}

TEST_F(TlsResumptionTest, OnlyWhatWasProvedInTheSameWay) {
  EXPECT_FALSE(resumed(demand_of(TlsCheck::kNone)));
  EXPECT_FALSE(resumed(demand_of(TlsCheck::kNames)));
  EXPECT_FALSE(resumed(dane()));
  EXPECT_TRUE(resumed(dane()));
  TlsDemand more = dane();
  more.tlsa.push_back(tlsa_of(authority_.middle.certificate.get(), 2, 0, 1));
  EXPECT_FALSE(resumed(more));
  std::swap(more.tlsa[0], more.tlsa[1]);
  EXPECT_TRUE(resumed(more));
  TlsDemand names = demand_of(TlsCheck::kNames);
  names.names.emplace_back("example.org");
  EXPECT_FALSE(resumed(names));
  EXPECT_FALSE(resumed(demand_of(TlsCheck::kNames), "other.example:25"));
  EXPECT_FALSE(resumed(demand_of(TlsCheck::kNames), "mx.example.com:26"));
  TlsDemand nameless = demand_of(TlsCheck::kNames);
  nameless.server_name.clear();
  EXPECT_FALSE(resumed(nameless));
  EXPECT_TRUE(resumed(demand_of(TlsCheck::kNames)));
}

TEST_F(TlsResumptionTest, AServerThatWasNotLookedAtIsNotTrustedLater) {
  const Identity liar = make_identity({}, nullptr);
  const Context context = make_server(liar, {});
  EXPECT_FALSE(resumed_with(context, demand_of(TlsCheck::kNone)));
  EXPECT_TRUE(resumed_with(context, demand_of(TlsCheck::kNone)));
  Server server(context.get());
  const auto engine = factory_->connect(demand_of(TlsCheck::kNames), kExchanger, Instant{});
  EXPECT_FALSE(shake_hands(*engine, server));
  EXPECT_EQ(engine->failure().kind, TlsFailureKind::kNotTrusted);
}

TEST_F(TlsResumptionTest, AnOldTicketIsForgotten) {
  const TlsDemand demand = demand_of(TlsCheck::kNames);
  const Instant start{1h};
  EXPECT_FALSE(resumed(demand, kExchanger, start));
  EXPECT_TRUE(resumed(demand, kExchanger, start + 119min));
  EXPECT_FALSE(resumed(demand, kExchanger, start + 119min + 2h));
}

TEST_F(TlsResumptionTest, TheServersLifetimeIsHonoured) {
  SSL_CTX_set_timeout(context_.get(), 600);
  const TlsDemand demand = demand_of(TlsCheck::kNames);
  EXPECT_FALSE(resumed(demand, kExchanger, Instant{}));
  EXPECT_TRUE(resumed(demand, kExchanger, Instant{599s}));
  EXPECT_FALSE(resumed(demand, kExchanger, Instant{599s + 600s}));
}

TEST_F(TlsResumptionTest, SessionsOfTls12AreUsedAgain) {
  for (const bool tickets : {true, false}) {
    Context old = authority_.context(identity_, {.version_max = TLS1_2_VERSION});
    if (!tickets) SSL_CTX_set_options(old.get(), SSL_OP_NO_TICKET);
    SSL_CTX_set_session_id_context(old.get(), reinterpret_cast<const unsigned char*>("t"), 1);
    const TlsDemand demand = demand_of(TlsCheck::kNames);
    const std::string exchanger = tickets ? "a.example:25" : "b.example:25";
    EXPECT_FALSE(resumed_with(old, demand, exchanger));
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(resumed_with(old, demand, exchanger)) << tickets << i;
  }
}

// Many servers close behind QUIT without a close_notify (RFC 5246 §7.2.1 allows to go on from it).
TEST_F(TlsResumptionTest, ASessionThatThePeerCutIsUsedAgain) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Context context = authority_.context(identity_, {.version_max = version});
    const TlsDemand demand = demand_of(TlsCheck::kNames);
    const std::string exchanger = "v" + std::to_string(version) + ".example:25";
    for (int i = 0; i < 4; ++i) {
      Server server(context.get());
      const auto engine = factory_->connect(demand, exchanger, Instant{});
      std::string heard;
      ASSERT_TRUE(shake_hands(*engine, server));
      EXPECT_TRUE(converse(*engine, server, heard));
      EXPECT_EQ(engine->facts().resumed, i > 0) << version << " " << i;
      engine->receive_end();
      EXPECT_TRUE(engine->failed());
    }
  }
}

TEST_F(TlsResumptionTest, AServerThatForgotMakesAFullHandshake) {
  const TlsDemand demand = demand_of(TlsCheck::kNames);
  EXPECT_FALSE(resumed(demand));
  const Context restarted = authority_.context(identity_);
  EXPECT_FALSE(resumed_with(restarted, demand));
  // And it is looked at anew.
  const Context another = make_server(make_identity({}, nullptr), {});
  Server server(another.get());
  const auto engine = factory_->connect(demand, kExchanger, Instant{});
  EXPECT_FALSE(shake_hands(*engine, server));
  EXPECT_EQ(engine->failure().kind, TlsFailureKind::kNotTrusted);
  EXPECT_EQ(factory_->tickets(), 0U);
}

TEST_F(TlsResumptionTest, TheirNumberIsBounded) {
  SSL_CTX_set_num_tickets(context_.get(), 7);
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(
        resumed(demand_of(TlsCheck::kNames), "mx" + std::to_string(i) + ".example.com:25"));
    EXPECT_EQ(factory_->tickets(), std::min<size_t>(16, 2 * (static_cast<size_t>(i) + 1)));
  }
  EXPECT_FALSE(resumed(demand_of(TlsCheck::kNames), "mx0.example.com:25"));
  EXPECT_TRUE(resumed(demand_of(TlsCheck::kNames), "mx19.example.com:25"));
}

}  // namespace
}  // namespace sluice
