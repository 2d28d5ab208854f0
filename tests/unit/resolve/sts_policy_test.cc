#include "engine/resolve/sts_policy.h"

#include <gtest/gtest.h>

#include "engine/base/strings.h"

namespace sluice {
namespace {

using Texts = std::vector<std::string>;

std::string id_of(const Texts& texts) { return sts_id_of(texts).value_or("none"); }

TEST(StsRecord, OneWellFormedRecordGivesTheId) {
  EXPECT_EQ(id_of({"v=STSv1; id=20160831085700Z;"}), "20160831085700Z");
  EXPECT_EQ(id_of({"v=STSv1; id=20160831085700Z"}), "20160831085700Z");
  EXPECT_EQ(id_of({"v=STSv1;id=1"}), "1");
  EXPECT_EQ(id_of({"v=STSv1 \t;\t id=aB9 ;  "}), "aB9");
  EXPECT_EQ(id_of({"v=STSv1; x-y.z_9=!:~; id=1"}), "1");
  EXPECT_EQ(id_of({"v=STSv1; id=" + std::string(32, 'a')}), std::string(32, 'a'));
  // Other records beside it say nothing.
  EXPECT_EQ(id_of({"v=spf1 -all", "v=STSv1; id=1;", "v=STSv10; id=2;", "v=STSv1", ""}), "1");
}

TEST(StsRecord, AnythingElseIsNone) {
  const Texts none[] = {
      {},
      {""},
      {"v=STSv1"},
      {"v=STSv1;"},
      {"v=STSv1; id="},
      {"v=STSv1; id=a-b"},
      {"v=STSv1; id=a b"},
      {"v=STSv1; id =1"},
      {"v=STSv1; id= 1"},
      {"v=STSv1; ID=1"},
      {"v=stsv1; id=1"},
      {" v=STSv1; id=1"},
      {"V=STSv1; id=1"},
      {"id=1; v=STSv1"},
      {"v=STSv1 id=1"},
      {"v=STSv1;; id=1"},
      {"v=STSv1; id=1;;"},
      {"v=STSv1; id=1; junk"},
      {"v=STSv1; id=1; =x"},
      {"v=STSv1; id=1; x="},
      {"v=STSv1; id=1; x=a=b"},
      {"v=STSv1; id=1; -x=1"},
      {"v=STSv1; id=1; " + std::string(33, 'x') + "=1"},
      {"v=STSv1; id=1; id=2"},
      {"v=STSv1; id=1; id=1"},
      {"v=STSv1; id=" + std::string(33, 'a')},
      {std::string("v=STSv1; id=1\0;", 15)},
      {"v=STSv1; id=1\xFF"},
      {"v=STSv1; id=1;", "v=STSv1; id=1;"},
      {"v=STSv1; id=1;", "v=STSv1; nonsense"},
  };
  for (size_t i = 0; i < std::size(none); ++i) EXPECT_EQ(id_of(none[i]), "none") << "row " << i;
}

const std::string kWhole =
    "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n"
    "max_age: 604800\r\n";

StsPolicy policy_of(const std::string& text) {
  StatusOr<StsPolicy> policy = parse_sts_policy(text);
  EXPECT_TRUE(policy.ok()) << policy.status().ToString() << " of " << text;
  return policy.ok() ? *policy : StsPolicy();
}
std::string trouble_of(const std::string& text) {
  return message_of(parse_sts_policy(text).status());
}

TEST(StsPolicyText, AsTheRfcWritesIt) {
  const StsPolicy policy = policy_of(kWhole);
  EXPECT_EQ(policy.mode, StsMode::kEnforce);
  EXPECT_EQ(policy.mx, (Texts{"mail.example.com", "*.example.net"}));
  EXPECT_EQ(policy.max_age, std::chrono::seconds(604'800));
}

TEST(StsPolicyText, WhatMayDiffer) {
  const StsPolicy whole = policy_of(kWhole);
  const std::string same[] = {
      // Line feeds alone, no last one.
      "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800",
      // Another order, without and with more blanks.
      "max_age:604800\nmx:mail.example.com\nmx:\t *.example.net \nmode:enforce  \nversion:STSv1",
      // Unknown keys, and the first of what is there twice.
      kWhole + "mode: none\nmax_age: 1\nversion: STSv2\nfuture.key_1-x: anything: at all\n",
      "\n\r\n" + kWhole + "\n\n",
      // What is no name fits nothing.
      kWhole + "mx: *\nmx: *.\nmx: *.*.example.com\nmx: a..b\nmx: \nmx: m\xC3\xBC.example\n",
      "version: STSv1\nmode: enforce\nmx: MAIL.example.com.\nmx: *.Example.NET\nmax_age: 604800",
  };
  for (const std::string& text : same) EXPECT_EQ(policy_of(text), whole) << text;
  EXPECT_EQ(policy_of("version: STSv1\nmode: none\nmax_age: 0").mode, StsMode::kNone);
  EXPECT_EQ(policy_of("version: STSv1\nmode: testing\nmax_age: 0\nmx: a").mode, StsMode::kTesting);
  EXPECT_EQ(policy_of("version: STSv1\nmode: none\nmax_age: 9999999999").max_age, kStsMaxAge);
}

TEST(StsPolicyText, WhatIsRefused) {
  const std::string begin = "version: STSv1\n";
  const std::string mx = "mx: a.example\n";
  EXPECT_EQ(trouble_of(""), "the policy's version is not STSv1");
  EXPECT_EQ(trouble_of("version: STSv2\nmode: none\nmax_age: 1"),
            "the policy's version is not STSv1");
  EXPECT_EQ(trouble_of("version: stsv1\nmode: none\nmax_age: 1"),
            "the policy's version is not STSv1");
  EXPECT_EQ(trouble_of(begin + mx + "max_age: 1"), "the policy has no mode");
  for (const char* mode : {"", "Enforce", "enforced", "report"}) {
    EXPECT_EQ(trouble_of(begin + mx + "max_age: 1\nmode: " + mode),
              "the policy's mode is not enforce, testing or none");
  }
  EXPECT_EQ(trouble_of(begin + mx + "mode: enforce"), "the policy has no max_age");
  for (const char* age : {"", "-1", "1 2", "0x10", "1.5", "12345678901", "+1"}) {
    EXPECT_EQ(trouble_of(begin + mx + "mode: enforce\nmax_age: " + age),
              "the policy's max_age is no number")
        << age;
  }
  EXPECT_EQ(trouble_of(begin + "mode: enforce\nmax_age: 1"), "the policy has no mx");
  EXPECT_EQ(trouble_of(begin + "mode: testing\nmax_age: 1\nmx: *"), "the policy has no mx");
  EXPECT_EQ(trouble_of(begin + "<html>\n" + mx), "line 2 of the policy is no \"key: value\"");
  EXPECT_EQ(trouble_of(kWhole + ": x"), "line 6 of the policy is no \"key: value\"");
  EXPECT_EQ(trouble_of(kWhole + std::string("mo\0de: none", 11)),
            "line 6 of the policy is no \"key: value\"");
}

TEST(StsPolicyText, Bounds) {
  std::string many = "version: STSv1\nmode: enforce\nmax_age: 1\n";
  for (size_t i = 0; i < kStsPatternsMax; ++i) many += "mx: m" + std::to_string(i) + ".example\n";
  EXPECT_EQ(policy_of(many).mx.size(), kStsPatternsMax);
  EXPECT_EQ(trouble_of(many + "mx: one.more.example"), "the policy has more than 128 mx");

  std::string large = kWhole;
  large += "x: " + std::string(kStsTextMax - large.size() - 3, 'y');
  EXPECT_EQ(large.size(), kStsTextMax);
  EXPECT_EQ(policy_of(large), policy_of(kWhole));
  EXPECT_EQ(trouble_of(large + "y"), "the policy is larger than 64 KiB");
}

TEST(StsPattern, WhatItFits) {
  StsPolicy policy;
  policy.mx = {"mail.example.com", "*.example.net"};
  for (const char* good : {"mail.example.com", "a.example.net", "xn--a.example.net"}) {
    EXPECT_TRUE(sts_matches(policy, good)) << good;
  }
  for (const char* bad : {"", "example.net", ".example.net", "a.b.example.net", "aexample.net",
                          "x.mail.example.com", "example.com", "mail.example.com.evil.example",
                          "a.example.net.evil.example", "*.example.com", "[192.0.2.1]"}) {
    EXPECT_FALSE(sts_matches(policy, bad)) << bad;
  }
  EXPECT_FALSE(sts_matches(StsPolicy(), "a.example"));
}

TEST(StsPattern, WhatIsOne) {
  EXPECT_EQ(sts_pattern_of("Mail.Example.COM."), "mail.example.com");
  EXPECT_EQ(sts_pattern_of("*.a"), "*.a");
  EXPECT_EQ(sts_pattern_of("a_b.example"), "a_b.example");
  const std::string label(63, 'a');
  EXPECT_TRUE(sts_pattern_of(label + ".example"));
  for (const std::string& bad :
       {std::string(), std::string("."), std::string("*"), std::string("*."), std::string("*a.b"),
        std::string("a.*.b"), std::string("**.a"), std::string("-a.b"), std::string("a-.b"),
        std::string(".a"), std::string("a b"), std::string("a\\.b"), label + "a.example",
        join({label, label, label, label}, ".")}) {
    EXPECT_FALSE(sts_pattern_of(bad)) << bad;
  }
}

}  // namespace
}  // namespace sluice
