// What TLS must prove, as routes say it: TLSA records and MTA-STS policies from pretended zones.
#include <gtest/gtest.h>

#include "engine/resolve/sts_store.h"
#include "engine/resolve/web.h"
#include "tests/unit/resolve/resolver_fixture.h"

namespace sluice {
namespace {

using resolver_cache::Rcode;
using resolver_cache::Record;
using resolver_cache::RecordType;
using std::chrono::minutes;
using std::chrono::seconds;
using Names = std::vector<std::string>;

const std::string kDigest(32, '\x11');
const std::string kUsable = "\x03\x01\x01" + kDigest;
const std::string kOther = "\x02\x01\x01" + kDigest;
const std::string kUnusable = std::string("\x00\x01\x01", 3) + kDigest;

class DaneRoutes : public ResolverTest {
 protected:
  DaneRoutes() {
    options_.trust_ad = true;
    options_.dane = true;
    zones().secure = true;
  }
  void host(const std::string& domain, const std::string& name) {
    zones().mx(domain, 10, name);
    zones().a(name, kPublic1);
  }
  void tlsa(const std::string& base, const std::string& rdata) {
    const std::string name = "_25._tcp." + base;
    Record record;
    record.name = name;
    record.type = RecordType::kTlsa;
    record.ttl = 300;
    record.data = rdata;
    zones().zones[{name, RecordType::kTlsa}].push_back(record);
  }
  // The host's addresses stand under another name.
  void alias(const std::string& name, const std::string& target) {
    const Record cname = resolver_cache::make_cname(name, 300, target);
    zones().zones[{name, RecordType::kCname}] = {cname};
    zones().zones[{name, RecordType::kA}] = {cname, resolver_cache::make_a(target, 300, kPublic1)};
  }
  Exchanger first(const std::string& domain) {
    const RoutePtr found = route(domain);
    return found && !found->exchangers.empty() ? found->exchangers[0] : Exchanger();
  }
  size_t asked(RecordType type) {
    size_t count = 0;
    for (const ZoneLookup::Key& key : zones().asked) count += key.second == type ? 1 : 0;
    return count;
  }
};

TEST_F(DaneRoutes, Records) {
  host("example.com", "mx.example.com");
  tlsa("mx.example.com", kUsable);
  tlsa("mx.example.com", kUnusable);
  const RoutePtr found = route("example.com");
  EXPECT_TRUE(found->mx_secure);
  const Exchanger& exchanger = found->exchangers.at(0);
  EXPECT_EQ(exchanger.dane, DaneState::kRecords);
  EXPECT_EQ(exchanger.tlsa, (std::vector<TlsaRecord>{{3, 1, 1, kDigest}}));
  EXPECT_EQ(exchanger.tlsa_base, "mx.example.com");
  EXPECT_EQ(exchanger.tlsa_names, (Names{"mx.example.com", "example.com"}));
  EXPECT_EQ(exchanger.dane_detail, "");
}

TEST_F(DaneRoutes, NothingIsAskedUnlessTheServersValidateAndDaneIsOn) {
  for (const bool trust_ad : {false, true}) {
    options_.trust_ad = trust_ad;
    options_.dane = !trust_ad;
    close(shard());
    shard_ = std::make_unique<Shard>(io_, cache_, options_);
    zones().secure = true;
    host("example.com", "mx.example.com");
    tlsa("mx.example.com", kUsable);
    const RoutePtr found = route("example.com");
    EXPECT_EQ(found->mx_secure, trust_ad);
    EXPECT_EQ(found->exchangers.at(0).dane, DaneState::kNotAsked);
    EXPECT_EQ(asked(RecordType::kTlsa), 0U);
  }
}

TEST_F(DaneRoutes, InsecureAddressesAreNotAskedFor) {
  host("example.com", "mx.example.com");
  tlsa("mx.example.com", kUsable);
  zones().insecure.insert({"mx.example.com", RecordType::kA});
  const RoutePtr found = route("example.com");
  EXPECT_TRUE(found->mx_secure);
  EXPECT_EQ(found->exchangers.at(0).dane, DaneState::kNotAsked);
  EXPECT_EQ(found->exchangers.at(0).dane_detail, "its address records are not secure");
  EXPECT_EQ(asked(RecordType::kTlsa), 0U);
}

TEST_F(DaneRoutes, AnInsecureMxAnswerIsSaid) {
  host("example.com", "mx.example.com");
  tlsa("mx.example.com", kUsable);
  zones().insecure.insert({"example.com", RecordType::kMx});
  const RoutePtr found = route("example.com");
  EXPECT_FALSE(found->mx_secure);
  EXPECT_EQ(found->exchangers.at(0).dane, DaneState::kRecords);
}

TEST_F(DaneRoutes, ServersOfASuffixVouchForNothing) {
  zones().foreign = true;
  host("example.com", "mx.example.com");
  tlsa("mx.example.com", kUsable);
  const RoutePtr found = route("example.com");
  EXPECT_FALSE(found->mx_secure);
  EXPECT_EQ(found->exchangers.at(0).dane, DaneState::kNotAsked);
}

TEST_F(DaneRoutes, DenialsAndInsecureRecordsAreAbsent) {
  host("none.com", "mx.none.com");
  EXPECT_EQ(first("none.com").dane, DaneState::kAbsent);
  host("insecure.com", "mx.insecure.com");
  tlsa("mx.insecure.com", kUsable);
  zones().insecure.insert({"_25._tcp.mx.insecure.com", RecordType::kTlsa});
  const Exchanger exchanger = first("insecure.com");
  EXPECT_EQ(exchanger.dane, DaneState::kAbsent);
  EXPECT_TRUE(exchanger.tlsa.empty());
  EXPECT_EQ(exchanger.dane_detail, "its TLSA records are not secure");
}

TEST_F(DaneRoutes, RecordsOfWhichNoneCanBeUsed) {
  host("example.com", "mx.example.com");
  tlsa("mx.example.com", kUnusable);
  const Exchanger exchanger = first("example.com");
  EXPECT_EQ(exchanger.dane, DaneState::kUnusable);
  EXPECT_EQ(exchanger.tlsa_base, "mx.example.com");
  EXPECT_TRUE(exchanger.tlsa.empty());
}

TEST_F(DaneRoutes, AFailedLookupConcernsItsExchangerAlone) {
  zones().mx("example.com", 10, "bad.example.com");
  zones().mx("example.com", 20, "good.example.com");
  zones().a("bad.example.com", kPublic1);
  zones().a("good.example.com", kPublic2);
  tlsa("good.example.com", kUsable);
  zones().rcodes[{"_25._tcp.bad.example.com", RecordType::kTlsa}] = Rcode::kServerFailure;
  const RoutePtr found = route("example.com");
  ASSERT_EQ(found->exchangers.size(), 2U);
  EXPECT_EQ(found->exchangers[0].dane, DaneState::kFailed);
  EXPECT_EQ(found->exchangers[0].dane_detail,
            "the TLSA lookup failed: the server answered SERVFAIL at 127.0.0.1:53");
  EXPECT_EQ(found->exchangers[1].dane, DaneState::kRecords);
  EXPECT_LT(found->expires, io_.time + seconds(10)) << "it is asked for again soon";
}

TEST_F(DaneRoutes, ATimeOutIsAFailure) {
  host("example.com", "mx.example.com");
  zones().failures[{"_25._tcp.mx.example.com", RecordType::kTlsa}] =
      LookupAnswer::Failure::kTimeout;
  EXPECT_EQ(first("example.com").dane, DaneState::kFailed);
}

TEST_F(DaneRoutes, ASecureAliasIsLookedForAtItsEndFirst) {
  zones().mx("example.com", 10, "mx.example.com");
  alias("mx.example.com", "real.example.net");
  tlsa("real.example.net", kUsable);
  tlsa("mx.example.com", kOther);
  const Exchanger exchanger = first("example.com");
  EXPECT_EQ(exchanger.dane, DaneState::kRecords);
  EXPECT_EQ(exchanger.tlsa_base, "real.example.net");
  EXPECT_EQ(exchanger.tlsa.at(0).usage, 3);
  EXPECT_EQ(exchanger.tlsa_names, (Names{"real.example.net", "example.com"}));
}

TEST_F(DaneRoutes, ThenUnderItsOwnNameButNotAfterAFailure) {
  zones().mx("example.com", 10, "mx.example.com");
  alias("mx.example.com", "real.example.net");
  tlsa("mx.example.com", kOther);
  EXPECT_EQ(first("example.com").tlsa_base, "mx.example.com");

  zones().mx("other.com", 10, "mx.other.com");
  alias("mx.other.com", "real.other.net");
  tlsa("mx.other.com", kOther);
  zones().rcodes[{"_25._tcp.real.other.net", RecordType::kTlsa}] = Rcode::kServerFailure;
  const Exchanger exchanger = first("other.com");
  EXPECT_EQ(exchanger.dane, DaneState::kFailed);
  EXPECT_TRUE(exchanger.tlsa.empty());
}

TEST_F(DaneRoutes, ASecureAliasOfAnInsecureHostHasItsOwnRecords) {
  zones().mx("example.com", 10, "mx.example.com");
  alias("mx.example.com", "real.example.net");
  zones().insecure.insert({"mx.example.com", RecordType::kA});
  tlsa("real.example.net", kUsable);
  tlsa("mx.example.com", kOther);
  EXPECT_EQ(first("example.com").tlsa_base, "mx.example.com");

  zones().mx("other.com", 10, "mx.other.com");
  alias("mx.other.com", "real.other.net");
  tlsa("mx.other.com", kOther);
  zones().insecure.insert({"mx.other.com", RecordType::kA});
  zones().insecure.insert({"mx.other.com", RecordType::kCname});
  EXPECT_EQ(first("other.com").dane, DaneState::kNotAsked);
}

TEST_F(DaneRoutes, TheDomainsOwnAliasIsAName) {
  const Record cname = resolver_cache::make_cname("example.com", 300, "real.example");
  zones().zones[{"example.com", RecordType::kMx}] = {
      cname, resolver_cache::make_mx("real.example", 300, 10, "mx.example")};
  zones().a("mx.example", kPublic1);
  tlsa("mx.example", kOther);
  EXPECT_EQ(first("example.com").tlsa_names, (Names{"mx.example", "example.com", "real.example"}));
}

TEST_F(DaneRoutes, StaleIsNeverSecure) {
  host("example.com", "mx.example.com");
  tlsa("mx.example.com", kUsable);
  EXPECT_EQ(first("example.com").dane, DaneState::kRecords);
  zones().failures[{"example.com", RecordType::kMx}] = LookupAnswer::Failure::kTimeout;
  zones().failures[{"mx.example.com", RecordType::kA}] = LookupAnswer::Failure::kTimeout;
  io_.time += minutes(10);
  const RoutePtr found = route("example.com");
  EXPECT_TRUE(found->stale);
  EXPECT_FALSE(found->mx_secure);
  EXPECT_EQ(found->exchangers.at(0).dane, DaneState::kNotAsked);
}

TEST_F(DaneRoutes, TlsaAnswersAreNeverServedStale) {
  host("example.com", "mx.example.com");
  tlsa("mx.example.com", kUsable);
  EXPECT_EQ(first("example.com").dane, DaneState::kRecords);
  zones().failures[{"_25._tcp.mx.example.com", RecordType::kTlsa}] =
      LookupAnswer::Failure::kTimeout;
  io_.time += minutes(10);
  EXPECT_EQ(first("example.com").dane, DaneState::kFailed);
}

TEST_F(DaneRoutes, AnswersComeFromTheCache) {
  host("example.com", "mx.example.com");
  tlsa("mx.example.com", kUsable);
  EXPECT_EQ(first("example.com").dane, DaneState::kRecords);
  EXPECT_EQ(first("example.com").dane, DaneState::kRecords);
  EXPECT_EQ(asked(RecordType::kTlsa), 1U);
}

TEST_F(DaneRoutes, TheTraceHasThem) {
  zones().mx("example.com", 10, "mx.example.com");
  alias("mx.example.com", "real.example.net");
  tlsa("mx.example.com", std::string("\x03\x01\x01\xAB\xCD", 5));
  const RouteTrace trace = traced("example.com");
  ASSERT_EQ(trace.facts.size(), 4U);
  EXPECT_EQ(trace.facts[2].name, "_25._tcp.real.example.net");
  EXPECT_EQ(trace.facts[2].type, "TLSA");
  EXPECT_EQ(trace.facts[2].kind, "no such name");
  EXPECT_TRUE(trace.facts[2].ad);
  EXPECT_EQ(trace.facts[3].name, "_25._tcp.mx.example.com");
  EXPECT_EQ(trace.facts[3].records, Names{"3 1 1 abcd"});
}

// --- MTA-STS

class FakeWeb : public WebClient {
 public:
  struct Asked {
    WebRequest request;
    Done done;
  };
  std::vector<Asked> asked;

  void ask(WebRequest request, Done done) override {
    asked.push_back({std::move(request), std::move(done)});
  }
  void answer(const WebAnswer& answer) {
    ASSERT_FALSE(asked.empty());
    Asked last = std::move(asked.back());
    asked.pop_back();
    last.done(answer);
  }
};

WebAnswer answer_of(long status, const std::string& text) {
  WebAnswer answer;
  answer.kind = WebAnswer::Kind::kAnswered;
  answer.status = status;
  answer.type = "text/plain";
  answer.text = text;
  return answer;
}
const WebAnswer kPolicy =
    answer_of(200, "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n");
const WebAnswer kNoPolicy = answer_of(404, "");

class StsRoutes : public ResolverTest {
 protected:
  StsRoutes() {
    options_.sts_store = &store_;
    options_.web = &web_;
    zones().mx("example.com", 10, "mx.example.com");
    zones().a("mx.example.com", kPublic1);
  }
  void txt(const std::string& domain, const std::string& text) {
    const std::string name = "_mta-sts." + domain;
    zones().zones[{name, RecordType::kTxt}] = {resolver_cache::make_txt(name, 300, text)};
  }
  void settle() {
    for (int i = 0; i < 20; ++i) turn(shard());
  }

  StsStore store_;
  FakeWeb web_;
};

TEST_F(StsRoutes, ADomainWithoutARecordHasNone) {
  const RoutePtr found = route("example.com");
  EXPECT_TRUE(found->usable());
  EXPECT_EQ(found->sts, nullptr);
  EXPECT_FALSE(found->sts_pending);
  EXPECT_TRUE(web_.asked.empty());
}

TEST_F(StsRoutes, TheFirstRouteIsPendingUntilThePolicyIsThere) {
  txt("example.com", "v=STSv1; id=1;");
  zones().a("mta-sts.example.com", kPublic2);
  RoutePtr found = route("example.com");
  EXPECT_TRUE(found->usable());
  EXPECT_EQ(found->sts, nullptr);
  EXPECT_TRUE(found->sts_pending);
  EXPECT_LE(found->expires, io_.time + seconds(1));
  settle();
  ASSERT_EQ(web_.asked.size(), 1U);
  EXPECT_EQ(web_.asked[0].request.host, "mta-sts.example.com");
  EXPECT_EQ(web_.asked[0].request.target, "/.well-known/mta-sts.txt");
  ASSERT_EQ(web_.asked[0].request.addresses.size(), 1U);
  EXPECT_EQ(to_string(web_.asked[0].request.addresses[0]), "199.9.14.201");
  EXPECT_TRUE(route("example.com")->sts_pending);
  EXPECT_EQ(web_.asked.size(), 1U);

  web_.answer(kPolicy);
  found = route("example.com");
  EXPECT_FALSE(found->sts_pending);
  ASSERT_NE(found->sts, nullptr);
  EXPECT_EQ(found->sts->mode, StsMode::kEnforce);
  EXPECT_EQ(found->sts->id, "1");
  EXPECT_TRUE(web_.asked.empty());
}

TEST_F(StsRoutes, AFailedFetchHoldsNothing) {
  txt("example.com", "v=STSv1; id=1;");
  zones().a("mta-sts.example.com", kPublic2);
  EXPECT_TRUE(route("example.com")->sts_pending);
  settle();
  web_.answer(kNoPolicy);
  const RoutePtr found = route("example.com");
  EXPECT_FALSE(found->sts_pending);
  EXPECT_EQ(found->sts, nullptr);
  settle();
  EXPECT_TRUE(web_.asked.empty());
}

TEST_F(StsRoutes, APolicyHostWithinOurNetworkIsNotAsked) {
  txt("example.com", "v=STSv1; id=1;");
  zones().a("mta-sts.example.com", kPrivate);
  EXPECT_TRUE(route("example.com")->sts_pending);
  settle();
  EXPECT_TRUE(web_.asked.empty());
  EXPECT_FALSE(route("example.com")->sts_pending);
  EXPECT_EQ(
      traced("example.com").sts,
      "no policy; the fetch of id 1 failed: mta-sts.example.com: 10.0.0.1 is a private or other "
      "special address (see [smtp] allowed_networks)");
}

TEST_F(StsRoutes, APolicyHostThatCannotBeLookedUpIsAFailure) {
  txt("example.com", "v=STSv1; id=1;");
  zones().rcodes[{"mta-sts.example.com", RecordType::kA}] = Rcode::kServerFailure;
  zones().rcodes[{"mta-sts.example.com", RecordType::kAaaa}] = Rcode::kServerFailure;
  EXPECT_TRUE(route("example.com")->sts_pending);
  settle();
  EXPECT_EQ(
      traced("example.com").sts,
      "no policy; the fetch of id 1 failed: mta-sts.example.com: the server answered SERVFAIL "
      "at 127.0.0.1:53");
}

TEST_F(StsRoutes, TheOtherFamilyIsAskedWhereTheFirstHasNothing) {
  txt("example.com", "v=STSv1; id=1;");
  zones().aaaa("mta-sts.example.com", kPublic6);
  EXPECT_TRUE(route("example.com")->sts_pending);
  settle();
  ASSERT_EQ(web_.asked.size(), 1U);
  EXPECT_EQ(web_.asked[0].request.addresses.at(0).family, Family::kIpv6);
  web_.answer(kNoPolicy);
}

TEST_F(StsRoutes, WhatHoldsGoesOnWhenTheRecordFailsOrGoes) {
  txt("example.com", "v=STSv1; id=1;");
  zones().a("mta-sts.example.com", kPublic2);
  EXPECT_TRUE(route("example.com")->sts_pending);
  settle();
  web_.answer(kPolicy);

  zones().failures[{"_mta-sts.example.com", RecordType::kTxt}] = LookupAnswer::Failure::kTimeout;
  io_.time += minutes(20);
  RoutePtr found = route("example.com");
  ASSERT_NE(found->sts, nullptr);
  EXPECT_FALSE(found->sts_pending);
  EXPECT_LE(found->expires, io_.time + minutes(5));
  zones().failures.clear();
  txt("example.com", "no more");
  io_.time += minutes(20);
  EXPECT_NE(route("example.com")->sts, nullptr);
  EXPECT_TRUE(web_.asked.empty());
}

TEST_F(StsRoutes, ANewIdHoldsMailForTheNewPolicy) {
  txt("example.com", "v=STSv1; id=1;");
  zones().a("mta-sts.example.com", kPublic2);
  EXPECT_TRUE(route("example.com")->sts_pending);
  settle();
  web_.answer(kPolicy);
  txt("example.com", "v=STSv1; id=2;");
  io_.time += minutes(20);
  RoutePtr found = route("example.com");
  EXPECT_TRUE(found->sts_pending);
  ASSERT_NE(found->sts, nullptr);
  EXPECT_EQ(found->sts->id, "1");
  settle();
  web_.answer(kPolicy);
  found = route("example.com");
  EXPECT_FALSE(found->sts_pending);
  EXPECT_EQ(found->sts->id, "2");
}

// Only _mta-sts is slow: the route comes all the same, sts_wait after the rest.
TEST_F(StsRoutes, ASlowRecordDelaysARouteForABoundedTime) {
  options_.sts_wait = seconds(5);
  zones().slow[{"_mta-sts.example.com", RecordType::kTxt}] = seconds(60);
  const Instant begin = io_.time;
  const RoutePtr found = route("example.com");
  EXPECT_TRUE(found->usable());
  EXPECT_FALSE(found->sts_pending);
  EXPECT_GE(io_.time - begin, seconds(5));
  EXPECT_LT(io_.time - begin, seconds(10));
  EXPECT_LE(found->expires, io_.time + minutes(5));
}

TEST_F(StsRoutes, OtherDomainsAreNotHeld) {
  txt("example.com", "v=STSv1; id=1;");
  zones().a("mta-sts.example.com", kPublic2);
  zones().mx("other.com", 10, "mx.example.com");
  EXPECT_TRUE(route("example.com")->sts_pending);
  const RoutePtr found = route("other.com");
  EXPECT_FALSE(found->sts_pending);
  EXPECT_EQ(found->site, route("example.com")->site);
}

TEST_F(StsRoutes, NothingIsAskedForWhoHasNoRouteOrIsALiteral) {
  txt("gone.com", "v=STSv1; id=1;");
  zones().mx("gone.com", 0, "");
  EXPECT_FALSE(route("gone.com")->usable());
  options_.policy.allow_address_literals = true;
  settle();
  EXPECT_TRUE(web_.asked.empty());
}

TEST_F(StsRoutes, TheTraceHasTheRecord) {
  txt("example.com", "v=STSv1; id=1;");
  zones().a("mta-sts.example.com", kPublic2);
  EXPECT_TRUE(route("example.com")->sts_pending);
  settle();
  web_.answer(kPolicy);
  const RouteTrace trace = traced("example.com");
  ASSERT_EQ(trace.facts.size(), 3U);
  EXPECT_EQ(trace.facts[2].type, "TXT");
  EXPECT_EQ(trace.facts[2].name, "_mta-sts.example.com");
  EXPECT_EQ(trace.facts[2].records, Names{"v=STSv1; id=1;"});
  EXPECT_EQ(trace.sts.substr(0, 35), "mode enforce, id 1, fetched 0 s ago");
}

TEST_F(StsRoutes, ClosingEndsAFetchThatWasNotBegun) {
  txt("example.com", "v=STSv1; id=1;");
  zones().slow[{"mta-sts.example.com", RecordType::kA}] = seconds(3);
  EXPECT_TRUE(route("example.com")->sts_pending);
  close(shard());
  EXPECT_TRUE(web_.asked.empty());
  shard_.reset();
}

}  // namespace
}  // namespace sluice
