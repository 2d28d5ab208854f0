#include <gtest/gtest.h>

#include "tests/unit/connect/tls_pair.h"

namespace sluice {
namespace {

using namespace tls_test;

class TlsCheckTest : public ::testing::Test {
 protected:
  // What becomes of a session under `demand` with a server of `wanted`.
  void expect(const TlsDemand& demand, const Identity& identity,
              std::optional<TlsFailureKind> failure, const ServerOptions& options = {}) {
    const Context context = authority_.context(identity, options);
    expect_with(demand, context, failure);
  }
  void expect_with(const TlsDemand& demand, const Context& context,
                   std::optional<TlsFailureKind> failure) {
    Server server(context.get());
    const auto engine = factory_->connect(demand, kExchanger, Instant{});
    const bool open = shake_hands(*engine, server);
    EXPECT_EQ(open, !failure.has_value());
    EXPECT_EQ(engine->failed(), failure.has_value());
    text_.clear();
    if (open && failure.has_value()) return;
    if (engine->failed()) {
      text_ = engine->failure().text;
      if (failure) {
        EXPECT_EQ(engine->failure().kind, *failure) << text_;
      } else {
        ADD_FAILURE() << text_;
      }
      return;
    }
    EXPECT_EQ(engine->facts().passed, demand.check);
    EXPECT_FALSE(engine->facts().resumed);
    protocol_ = engine->facts().protocol;
  }
  TlsDemand dane(std::vector<TlsaRecord> records) {
    TlsDemand demand = demand_of(TlsCheck::kDane);
    demand.tlsa = std::move(records);
    return demand;
  }

  Authority authority_;
  std::unique_ptr<OpenSslFactory> factory_ = authority_.factory();
  std::string text_;
  std::string protocol_;
};

TEST_F(TlsCheckTest, VersionsAndKeys) {
  const Identity ecdsa = authority_.server({});
  const Identity rsa = authority_.server({.kind = KeyKind::kRsa});
  for (const TlsCheck check : {TlsCheck::kNone, TlsCheck::kNames}) {
    for (const Identity* identity : {&ecdsa, &rsa}) {
      expect(demand_of(check), *identity, {}, {.version_max = TLS1_2_VERSION});
      EXPECT_EQ(protocol_, "TLSv1.2");
      expect(demand_of(check), *identity, {}, {.version_min = TLS1_3_VERSION});
      EXPECT_EQ(protocol_, "TLSv1.3");
    }
  }
}

TEST_F(TlsCheckTest, NoCommonVersionOrCipherIsToldInWords) {
  const Identity identity = authority_.server({});
  const ServerOptions old{.version_min = TLS1_1_VERSION,
                          .version_max = TLS1_1_VERSION,
                          .ciphers = "DEFAULT:@SECLEVEL=0"};
  expect(demand_of(TlsCheck::kNone), identity, TlsFailureKind::kHandshake, old);
  EXPECT_NE(text_.find("protocol version"), std::string::npos) << text_;
  expect(demand_of(TlsCheck::kNone), identity, TlsFailureKind::kHandshake,
         {.version_max = TLS1_2_VERSION, .ciphers = "ECDHE-RSA-AES128-GCM-SHA256"});
  EXPECT_NE(text_.find("handshake failure"), std::string::npos) << text_;
}

TEST_F(TlsCheckTest, NamesAreTrustedInTimeAndTheirOwn) {
  expect(demand_of(TlsCheck::kNames), authority_.server({}), {});
  expect(demand_of(TlsCheck::kNames), authority_.server({.alternative_names = "DNS:other.example"}),
         TlsFailureKind::kHostMismatch);
  EXPECT_NE(text_.find("mx.example.com: not for mx.example.com"), std::string::npos) << text_;
  expect(demand_of(TlsCheck::kNames), authority_.server({.begins = -7200, .ends = -3600}),
         TlsFailureKind::kExpired);
  EXPECT_NE(text_.find("CN=mx.example.com: certificate has expired"), std::string::npos) << text_;
  expect(demand_of(TlsCheck::kNames), authority_.server({.begins = 3600, .ends = 7200}),
         TlsFailureKind::kExpired);
  expect(demand_of(TlsCheck::kNames), make_identity({}, nullptr), TlsFailureKind::kNotTrusted);
  const Authority stranger;
  expect(demand_of(TlsCheck::kNames), stranger.server({}), TlsFailureKind::kNotTrusted);
  expect(demand_of(TlsCheck::kNames), authority_.server({.purpose = "clientAuth"}),
         TlsFailureKind::kNotTrusted);
}

TEST_F(TlsCheckTest, TheCommonNameIsNoName) {
  expect(demand_of(TlsCheck::kNames), authority_.server({.alternative_names = ""}),
         TlsFailureKind::kHostMismatch);
}

TEST_F(TlsCheckTest, AnyOfSeveralNamesWillDo) {
  TlsDemand demand = demand_of(TlsCheck::kNames);
  demand.names = {"example.org", "mx.example.com"};
  expect(demand, authority_.server({}), {});
  demand.names = {"example.org", "example.net"};
  expect(demand, authority_.server({}), TlsFailureKind::kHostMismatch);
}

TEST_F(TlsCheckTest, AWildcardStandsForOneWholeLabel) {
  expect(demand_of(TlsCheck::kNames), authority_.server({.alternative_names = "DNS:*.example.com"}),
         {});
  for (const char* name : {"DNS:m*.example.com", "DNS:*x.example.com", "DNS:*.com", "DNS:*"}) {
    SCOPED_TRACE(name);
    expect(demand_of(TlsCheck::kNames), authority_.server({.alternative_names = name}),
           TlsFailureKind::kHostMismatch);
  }
  TlsDemand deeper = demand_of(TlsCheck::kNames);
  deeper.names = {"a.mx.example.com"};
  expect(deeper, authority_.server({.alternative_names = "DNS:*.example.com"}),
         TlsFailureKind::kHostMismatch);
}

TEST_F(TlsCheckTest, ADemandWithoutUsableNamesIsNeverMet) {
  TlsDemand demand = demand_of(TlsCheck::kNames);
  for (const std::string& name : {std::string(), std::string(".example.com"),
                                  std::string("mx.example.com\0.evil.example", 28)}) {
    demand.names = {name};
    expect(demand, authority_.server({}), TlsFailureKind::kHandshake);
  }
  demand.names.clear();
  expect(demand, authority_.server({}), TlsFailureKind::kHandshake);
}

TEST_F(TlsCheckTest, WithoutACheckAnyCertificateWillDo) {
  const TlsDemand none = demand_of(TlsCheck::kNone);
  expect(none, make_identity({.ends = -1}, nullptr), {});
  expect(none, authority_.server({.alternative_names = "DNS:other.example", .purpose = ""}), {});
}

TEST_F(TlsCheckTest, DaneOfTheCertificateLooksAtNothingElse) {
  const Identity wrong_in_all = make_identity(
      {.alternative_names = "DNS:other.example", .begins = -7200, .ends = -3600}, nullptr);
  X509* const certificate = wrong_in_all.certificate.get();
  for (const uint8_t selector : {0, 1}) {
    for (const uint8_t matching : {0, 1, 2}) {
      SCOPED_TRACE(std::to_string(selector) + " " + std::to_string(matching));
      const TlsaRecord record = tlsa_of(certificate, 3, selector, matching);
      expect(dane({record}), wrong_in_all, {});
      TlsDemand nameless = dane({record});
      nameless.names.clear();
      expect(nameless, wrong_in_all, {});
      TlsaRecord other = record;
      other.data.back() = static_cast<char>(other.data.back() ^ 1);
      if (matching > 0) expect(dane({other}), wrong_in_all, TlsFailureKind::kTlsaMismatch);
      if (matching > 0) expect(dane({other, record}), wrong_in_all, {});
    }
  }
}

TEST_F(TlsCheckTest, DaneIsNotRescuedByTrustedRoots) {
  const Identity good = authority_.server({});
  const Identity other = authority_.server({});
  expect(dane({tlsa_of(other.certificate.get(), 3, 1, 1)}), good, TlsFailureKind::kTlsaMismatch);
  expect(dane({tlsa_of(other.certificate.get(), 2, 1, 1)}), good, TlsFailureKind::kTlsaMismatch);
}

TEST_F(TlsCheckTest, DaneOfAnAuthorityAlsoChecksNamesAndDates) {
  const Authority stranger;
  X509* const middle = stranger.middle.certificate.get();
  const auto serve = [&](const Wanted& wanted) {
    const Identity identity = stranger.server(wanted);
    return stranger.context(identity);
  };
  for (const uint8_t selector : {0, 1}) {
    const TlsDemand demand = dane({tlsa_of(middle, 2, selector, 1)});
    expect_with(demand, serve({}), {});
    expect_with(demand, serve({.alternative_names = "DNS:other.example"}),
                TlsFailureKind::kHostMismatch);
    expect_with(demand, serve({.ends = -1}), TlsFailureKind::kExpired);
    TlsDemand nameless = demand;
    nameless.names.clear();
    expect_with(nameless, serve({}), TlsFailureKind::kTlsaMismatch);
  }
  expect_with(dane({tlsa_of(stranger.root.certificate.get(), 2, 0, 1)}), serve({}),
              TlsFailureKind::kTlsaMismatch);
}

TEST_F(TlsCheckTest, DaneNeedsARecordThatCanBeUsed) {
  const Identity identity = authority_.server({});
  expect(dane({}), identity, TlsFailureKind::kTlsaMismatch);
  TlsaRecord cut = tlsa_of(identity.certificate.get(), 3, 1, 1);
  cut.data.pop_back();
  expect(dane({cut}), identity, TlsFailureKind::kTlsaMismatch);
  expect(dane({tlsa_of(identity.certificate.get(), 1, 1, 1)}), identity,
         TlsFailureKind::kTlsaMismatch);
}

TEST_F(TlsCheckTest, AnErrorOfAnotherSessionIsNotSeen) {
  const Identity good = authority_.server({});
  const Context context = authority_.context(good);
  Server server(context.get());
  const auto engine = factory_->connect(demand_of(TlsCheck::kNames), kExchanger, Instant{});
  const auto broken = factory_->connect(demand_of(TlsCheck::kNames), kExchanger, Instant{});
  (void)broken->receive("550 no TLS here\r\n");
  EXPECT_TRUE(broken->failed());
  ERR_raise(ERR_LIB_USER, ERR_R_FATAL);
  std::string heard;
  for (int round = 0; round < 8; ++round) {
    const std::string to_client = server.exchange(take_outgoing(*engine));
    ERR_raise(ERR_LIB_USER, ERR_R_FATAL);
    feed(*engine, to_client, 100, heard);
    ERR_raise(ERR_LIB_USER, ERR_R_FATAL);
  }
  EXPECT_TRUE(engine->open()) << (engine->failed() ? engine->failure().text : "");
  EXPECT_FALSE(engine->failed());
}

TEST_F(TlsCheckTest, RootsThatCannotBeReadAreAnError) {
  const auto missing = OpenSslFactory::make({.ca_file = "/nonexistent/roots.pem"});
  EXPECT_TRUE(absl::IsFailedPrecondition(missing.status())) << missing.status();
}

}  // namespace
}  // namespace sluice
