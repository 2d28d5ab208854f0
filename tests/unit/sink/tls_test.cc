// STARTTLS and what is below it, by a client in memory.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "tests/unit/sink/tls_client.h"

namespace sluice::sink {
namespace {

constexpr const char* kName = "mx.sink.example";
constexpr std::string_view kMail =
    "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nBDAT 2 LAST\r\nhi";

int lines_in(const std::string& text) {
  return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

uint64_t refused(const TlsWorker& worker, Command command, uint16_t code) {
  const auto& all = worker.context.counts.refused;
  const auto found = all.find({command, code});
  return found == all.end() ? 0 : found->second;
}

SinkOptions with_odds(const char* odds) {
  SinkOptions options;
  EXPECT_TRUE(parse_odds(odds, options.odds).ok()) << odds;
  return options;
}

TEST(Tls, CarriesAConversationHoweverItIsCut) {
  for (const size_t piece : {SIZE_MAX, size_t{1}, size_t{7}, size_t{1'000}}) {
    TlsWorker worker;
    TlsClient client(worker, piece);
    ASSERT_TRUE(client.ask_for_tls());
    ASSERT_TRUE(client.shake_hands(kName)) << piece;
    EXPECT_EQ(client.say("EHLO me\r\n"),
              "250-mx.sink.example\r\n250-PIPELINING\r\n250-SIZE 67108864\r\n250-CHUNKING\r\n"
              "250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n");
    EXPECT_EQ(lines_in(client.say(kMail)), 3);
    EXPECT_EQ(client.say("QUIT\r\n").substr(0, 4), "221 ");
    EXPECT_TRUE(client.ended());
    EXPECT_EQ(client.next(), Next::kClose);
    EXPECT_EQ(worker.keeper.messages, std::vector<std::string>{"TLSv1.3|b@y.example"});
    EXPECT_EQ(worker.keeper.opened, std::vector<std::string>{"TLSv1.3|mx.sink.example|full"});
    const TlsCounts& counts = worker.context.counts.tls;
    EXPECT_EQ(counts.handshakes, 1U);
    EXPECT_EQ(counts.truncated, 0U);
    EXPECT_EQ(counts.server_names.at(kName), 1U);
    EXPECT_TRUE(counts.failed.empty());
  }
}

TEST(Tls, LargeMessagesComeThrough) {
  TlsWorker worker;
  TlsClient client(worker, 50'000);
  ASSERT_TRUE(client.ask_for_tls());
  ASSERT_TRUE(client.shake_hands());
  client.say("EHLO me\r\n");
  client.say("MAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\nBDAT 1000000 LAST\r\n");
  EXPECT_EQ(client.say(std::string(1'000'000, 'x')).substr(0, 4), "250 ");
  EXPECT_EQ(worker.keeper.messages.size(), 1U);
}

TEST(Tls, WhatWasSaidInClearCountsNoMore) {
  TlsWorker worker;
  TlsClient client(worker);
  ASSERT_TRUE(client.ask_for_tls());
  ASSERT_TRUE(client.shake_hands());
  EXPECT_EQ(client.say("MAIL FROM:<>\r\n").substr(0, 4), "503 ");
  EXPECT_EQ(client.say("STARTTLS\r\n").substr(0, 4), "503 ");
  EXPECT_EQ(lines_in(client.say("EHLO me\r\n")), 7);
  EXPECT_EQ(client.say("MAIL FROM:<>\r\n").substr(0, 4), "250 ");
}

TEST(Tls, IsOfferedAndRefusedInClear) {
  TlsWorker worker;
  TlsClient client(worker);
  client.take_clear();
  EXPECT_EQ(client.say_raw("STARTTLS\r\n").substr(0, 4), "503 ");
  EXPECT_NE(client.say_raw("EHLO me\r\n").find("250 STARTTLS\r\n"), std::string::npos);
  EXPECT_EQ(client.say_raw("STARTTLS now\r\n").substr(0, 4), "501 ");
  std::string out;
  Conversation without(worker.context, false);
  without.greet(out);
  out.clear();
  without.feed("EHLO me\r\nSTARTTLS\r\n", out);
  EXPECT_EQ(out.find("STARTTLS"), std::string::npos);
  EXPECT_NE(out.find("\r\n502 "), std::string::npos);
}

TEST(Tls, OctetsBehindStarttlsAreRefused) {
  TlsWorker worker;
  TlsClient client(worker);
  client.take_clear();
  client.say_raw("EHLO me\r\n");
  EXPECT_EQ(client.say_raw("STARTTLS\r\nEHLO me\r\n"),
            "554 5.5.0 Octets came behind STARTTLS in clear\r\n");
  EXPECT_EQ(client.next(), Next::kClose);
}

TEST(Tls, MayBeRequired) {
  SinkOptions options;
  options.session.tls_required = true;
  TlsWorker worker(options);
  TlsClient client(worker);
  client.take_clear();
  client.say_raw("EHLO me\r\n");
  EXPECT_EQ(client.say_raw("MAIL FROM:<>\r\n"),
            "530 5.7.0 Must issue a STARTTLS command first\r\n");
  ASSERT_TRUE(client.ask_for_tls());
  ASSERT_TRUE(client.shake_hands());
  client.say("EHLO me\r\n");
  EXPECT_EQ(client.say("MAIL FROM:<>\r\n").substr(0, 4), "250 ");
}

TEST(Tls, SessionsAreResumedAtAnyWorker) {
  for (const TlsVersions versions : {TlsVersions::kTls12, TlsVersions::kTls13}) {
    SinkOptions options;
    options.tls.versions = versions;
    TlsWorker one(options);
    TlsWorker other(options, one.identity);
    TlsClient first(one);
    ASSERT_TRUE(first.ask_for_tls());
    ASSERT_TRUE(first.shake_hands());
    first.say("EHLO me\r\n");
    ASSERT_FALSE(first.tickets().empty());
    TlsClient second(other);
    ASSERT_TRUE(second.ask_for_tls());
    ASSERT_TRUE(second.shake_hands(kName, first.tickets().back()));
    EXPECT_TRUE(second.resumed());
    EXPECT_EQ(lines_in(second.say("EHLO me\r\n")), 7);
    EXPECT_EQ(other.context.counts.tls.resumed, 1U);
  }
}

TEST(Tls, NoTicketsNoResumption) {
  for (const TlsVersions versions : {TlsVersions::kTls12, TlsVersions::kTls13}) {
    SinkOptions options;
    options.tls.versions = versions;
    options.tls.tickets = false;
    TlsWorker worker(options);
    TlsClient first(worker);
    ASSERT_TRUE(first.ask_for_tls());
    ASSERT_TRUE(first.shake_hands());
    first.say("EHLO me\r\n");
    EXPECT_TRUE(first.tickets().empty());
  }
}

TEST(Tls, NothingInCommonFails) {
  struct Case {
    TlsVersions versions;
    const char* ciphers;
    const char* reason;
  };
  for (const Case& c : {Case{TlsVersions::kTls12, "", "unsupported protocol"},
                        Case{TlsVersions::kTls13, "TLS_AES_256_GCM_SHA384", "no shared cipher"}}) {
    SinkOptions options;
    options.tls.versions = c.versions;
    options.tls.ciphers = c.ciphers;
    TlsWorker worker(options);
    TlsClient client(worker);
    SSL_CTX_set_min_proto_version(client.context(), TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(client.context(), "TLS_AES_128_GCM_SHA256");
    ASSERT_TRUE(client.ask_for_tls());
    EXPECT_FALSE(client.shake_hands());
    EXPECT_EQ(client.next(), Next::kClose);
    EXPECT_EQ(worker.keeper.failed, std::vector<std::string>{c.reason});
    EXPECT_EQ(worker.context.counts.tls.failed.at(c.reason), 1U);
    EXPECT_EQ(worker.context.counts.tls.handshakes, 0U);
  }
}

TEST(Tls, TheCertificateIsForItsNamesAndKeyType) {
  SinkOptions options;
  options.tls.names = {"mx1.a.example", "*.b.example"};
  options.tls.key_type = TlsKeyType::kRsa;
  options.tls.versions = TlsVersions::kTls12;
  for (const auto& [name, fits] :
       {std::pair("mx1.a.example", true), {"mx7.b.example", true}, {"mx2.a.example", false}}) {
    TlsWorker worker(options);
    TlsClient client(worker);
    ASSERT_TRUE(client.ask_for_tls());
    EXPECT_EQ(client.shake_hands(name), fits) << name;
    EXPECT_EQ(worker.context.counts.tls.sessions.size(), fits ? 1U : 0U);
    for (const auto& entry : worker.context.counts.tls.sessions) {
      EXPECT_EQ(entry.first, "TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384");
    }
  }
}

TEST(Tls, AChangedOctetEndsTheSession) {
  TlsWorker worker;
  TlsClient whole(worker);
  ASSERT_TRUE(whole.ask_for_tls());
  ASSERT_TRUE(whole.shake_hands());
  const size_t length = whole.records_of(kMail).size();
  for (size_t at = 0; at < length; at += 5) {
    TlsClient client(worker);
    ASSERT_TRUE(client.ask_for_tls());
    ASSERT_TRUE(client.shake_hands());
    client.say("EHLO me\r\n");
    std::string records = client.records_of(kMail);
    ASSERT_EQ(records.size(), length);
    records[at] = static_cast<char>(records[at] ^ 4);
    client.say_raw(records);
    // A longer record than there is: the rest never comes.
    if (client.next() == Next::kGoOn) client.conversation().client_gone();
  }
  EXPECT_TRUE(worker.keeper.messages.empty());
  uint64_t failed = worker.context.counts.tls.truncated;
  for (const auto& entry : worker.context.counts.tls.failed) failed += entry.second;
  EXPECT_EQ(failed, (length + 4) / 5);
}

TEST(Tls, TellsAnEndInOrderFromATruncation) {
  TlsWorker worker;
  TlsClient orderly(worker);
  ASSERT_TRUE(orderly.ask_for_tls());
  ASSERT_TRUE(orderly.shake_hands());
  orderly.end();
  EXPECT_EQ(orderly.next(), Next::kClose);
  EXPECT_EQ(worker.context.counts.tls.truncated, 0U);
  TlsClient cut(worker);
  ASSERT_TRUE(cut.ask_for_tls());
  ASSERT_TRUE(cut.shake_hands());
  cut.conversation().client_gone();
  EXPECT_EQ(worker.context.counts.tls.truncated, 1U);
  TlsClient early(worker);
  ASSERT_TRUE(early.ask_for_tls());
  early.conversation().client_gone();
  EXPECT_EQ(worker.context.counts.tls.failed.at("the client ended the connection"), 1U);
}

TEST(Tls, FaultsOfStarttls) {
  struct Case {
    const char* odds;
    std::string_view reply;
    Next next;
  };
  for (const Case& c :
       {Case{"STARTTLS:454=1", "454 4.7.0 TLS not available due to local problem\r\n", Next::kGoOn},
        Case{"STARTTLS:502/5.5.1=1", "502 5.5.1 Requested action not taken\r\n", Next::kGoOn},
        Case{"STARTTLS:drop=1", "", Next::kClose}, Case{"STARTTLS:reset=1", "", Next::kReset},
        Case{"starttls:hang=1", "", Next::kHang},
        Case{"STARTTLS:inject=1",
             "220 2.0.0 Ready to start TLS\r\n250-mx.sink.example\r\n250-AUTH PLAIN\r\n"
             "250 INJECTED\r\n",
             Next::kGoOn}}) {
    TlsWorker worker(with_odds(c.odds));
    TlsClient client(worker);
    client.take_clear();
    client.say_raw("EHLO me\r\n");
    EXPECT_EQ(client.say_raw("STARTTLS\r\n"), c.reply) << c.odds;
    EXPECT_EQ(client.next(), c.next) << c.odds;
    EXPECT_EQ(client.shake_hands(), std::string_view(c.odds) == "STARTTLS:inject=1") << c.odds;
  }
}

TEST(Tls, FaultsOfTheHandshake) {
  struct Case {
    const char* odds;
    Next next;
    std::string_view first;  // what comes in place of the flight begins so
    size_t octets_max;
  };
  using namespace std::string_view_literals;
  for (const Case& c : {Case{"HANDSHAKE:drop=1", Next::kClose, "", 0},
                        Case{"HANDSHAKE:reset=1", Next::kReset, "", 0},
                        Case{"HANDSHAKE:hang=1", Next::kHang, "", 0},
                        Case{"HANDSHAKE:garbage=1", Next::kHang, "500 5.5.1 ", 100},
                        Case{"HANDSHAKE:alert=1", Next::kClose, "\x15\x03\x03\0\x02\x02\x28"sv, 7},
                        Case{"HANDSHAKE:cut=1", Next::kClose, "\x16\x03\x03"sv, 1'000}}) {
    TlsWorker worker(with_odds(c.odds));
    TlsClient client(worker);
    ASSERT_TRUE(client.ask_for_tls());
    EXPECT_FALSE(client.shake_hands()) << c.odds;
    EXPECT_EQ(client.next(), c.next) << c.odds;
    EXPECT_EQ(client.carried().substr(0, c.first.size()), c.first) << c.odds;
    EXPECT_LE(client.carried().size(), c.octets_max) << c.odds;
    EXPECT_EQ(refused(worker, Command::kHandshake, 0), 1U) << c.odds;
    EXPECT_EQ(worker.context.counts.tls.handshakes, 0U);
    EXPECT_TRUE(worker.context.counts.tls.failed.empty()) << c.odds;
  }
}

TEST(Tls, ADropWithinTlsLooksLikeABrokenConnection) {
  TlsWorker worker(with_odds("DOT:lose-reply=1"));
  TlsClient client(worker);
  ASSERT_TRUE(client.ask_for_tls());
  ASSERT_TRUE(client.shake_hands());
  client.say("EHLO me\r\n");
  client.say(kMail);
  EXPECT_EQ(client.next(), Next::kClose);
  EXPECT_FALSE(client.ended());
}

TEST(Tls, SaysWhatIsWrongWithFiles) {
  SinkOptions options;
  options.tls.certificate_file = testing::TempDir() + "sink-cert-" + std::to_string(::getpid());
  options.tls.key_file = options.tls.certificate_file;
  EXPECT_NE(
      message_of(make_tls_identity(options.tls, kName).status()).find(options.tls.certificate_file),
      std::string::npos);
  std::ofstream(options.tls.certificate_file) << "nothing of the kind\n";
  const auto nothing = make_tls_identity(options.tls, kName);
  ASSERT_TRUE(nothing.ok());
  EXPECT_NE(message_of(TlsServer::make(options.tls, *nothing).status()).find("no certificate"),
            std::string::npos);
  TlsIdentity mixed = *make_tls_identity(TlsOptions{}, kName);
  mixed.key = make_tls_identity(TlsOptions{}, kName)->key;
  EXPECT_NE(message_of(TlsServer::make(options.tls, mixed).status()).find("no key"),
            std::string::npos);
  std::remove(options.tls.certificate_file.c_str());
  TlsOptions ciphers;
  ciphers.ciphers = "NO_SUCH";
  EXPECT_NE(message_of(TlsServer::make(ciphers, *make_tls_identity(TlsOptions{}, kName)).status())
                .find("NO_SUCH"),
            std::string::npos);
}

TEST(Tls, OptionsThatMakeNoSense) {
  SinkOptions options;
  ASSERT_TRUE(parse_listen("127.0.0.1:0", options.listen).ok());
  options.session.starttls = true;
  EXPECT_TRUE(check_options(options).ok());
  options.tls.names = {"a.example,IP:127.0.0.1"};
  EXPECT_FALSE(check_options(options).ok());
  options.tls.names = {"*.a.example"};
  EXPECT_TRUE(check_options(options).ok());
  options.tls.certificate_file = "c";
  EXPECT_FALSE(check_options(options).ok());
  options.tls.key_file = "k";
  EXPECT_FALSE(check_options(options).ok());
  options.tls.names.clear();
  EXPECT_TRUE(check_options(options).ok());
  TlsOptions tls;
  EXPECT_FALSE(parse_tls_versions("1.1", tls).ok());
  EXPECT_TRUE(parse_tls_versions("1.3", tls).ok());
  EXPECT_EQ(tls.versions, TlsVersions::kTls13);
  EXPECT_FALSE(parse_tls_key_type("dsa", tls).ok());
  std::vector<OddsRule> odds;
  EXPECT_FALSE(parse_odds("HANDSHAKE:550=1", odds).ok());
  EXPECT_FALSE(parse_odds("MAIL:garbage=1", odds).ok());
  EXPECT_TRUE(parse_odds("any:550=0.1", odds).ok());
  EXPECT_EQ(odds.size(), kCommands - 1);
}

}  // namespace
}  // namespace sluice::sink
