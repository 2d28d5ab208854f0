#include "engine/base/net.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace sluice {
namespace {

TEST(Net, ParsesAndPrintsAddresses) {
  for (const std::string_view text :
       {"192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::", "::1", "fe80::1"}) {
    const auto address = parse_ip(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(to_string(*address), text);
  }
  EXPECT_EQ(to_string(*parse_ip("2001:DB8:0:0:0:0:0:1")), "2001:db8::1");
  for (const std::string_view bad :
       {"", "192.0.2", "192.0.2.256", "192.0.2.1 ", "[::1]", "fe80::1%eth0", "1.2.3.4.5",
        ":::", "0x7f.0.0.1", "127.1", "2001:db8::1::2",
        "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111"}) {
    EXPECT_FALSE(parse_ip(bad)) << bad;
  }
  EXPECT_FALSE(parse_ip(std::string_view("1.2.3.4\0.5", 10)).has_value());
}

TEST(Net, ParsesAndPrintsSocketAddresses) {
  EXPECT_EQ(to_string(*parse_socket_address("192.0.2.1:25")), "192.0.2.1:25");
  EXPECT_EQ(to_string(*parse_socket_address("[2001:db8::1]:25")), "[2001:db8::1]:25");
  EXPECT_EQ(to_string(*parse_socket_address("192.0.2.1", 53)), "192.0.2.1:53");
  EXPECT_EQ(to_string(*parse_socket_address("2001:db8::1", 53)), "[2001:db8::1]:53");
  EXPECT_EQ(to_string(*parse_socket_address("[2001:db8::1]", 53)), "[2001:db8::1]:53");
  for (const std::string_view bad : {"192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536",
                                     "[2001:db8::1", "[::1]x25", "host:25", ":25", ""}) {
    EXPECT_FALSE(parse_socket_address(bad)) << bad;
  }
}

TEST(Net, NetworksContainWhatTheyShould) {
  const auto contains = [](std::string_view network, std::string_view address) {
    return parse_network(network)->contains(*parse_ip(address));
  };
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.255.255"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(contains("172.16.0.0/12", "172.31.255.255"));
  EXPECT_FALSE(contains("172.16.0.0/12", "172.32.0.0"));
  EXPECT_TRUE(contains("0.0.0.0/0", "203.0.113.1"));
  EXPECT_FALSE(contains("0.0.0.0/0", "::1"));
  EXPECT_TRUE(contains("192.0.2.1", "192.0.2.1"));
  EXPECT_FALSE(contains("192.0.2.1", "192.0.2.2"));
  EXPECT_TRUE(contains("fd00::/8", "fdff::1"));
  EXPECT_TRUE(contains("2001:db8::/127", "2001:db8::1"));
  EXPECT_FALSE(contains("2001:db8::/127", "2001:db8::2"));
  EXPECT_EQ(to_string(*parse_network("192.0.2.0/24")), "192.0.2.0/24");
  for (const std::string_view bad : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10/8"}) {
    EXPECT_FALSE(parse_network(bad)) << bad;
  }
}

TEST(Net, KnowsSpecialPurposeAddresses) {
  for (const std::string_view special : {"0.0.0.0",
                                         "0.255.255.255",
                                         "10.1.2.3",
                                         "100.64.0.1",
                                         "100.127.255.255",
                                         "127.0.0.1",
                                         "127.255.255.255",
                                         "169.254.169.254",
                                         "172.16.0.1",
                                         "172.31.255.255",
                                         "192.0.0.1",
                                         "192.0.2.1",
                                         "192.168.255.255",
                                         "198.18.0.1",
                                         "198.19.255.255",
                                         "198.51.100.1",
                                         "203.0.113.1",
                                         "224.0.0.1",
                                         "239.255.255.255",
                                         "240.0.0.1",
                                         "255.255.255.255",
                                         "::",
                                         "::1",
                                         "100::1",
                                         "2001:db8::1",
                                         "fc00::1",
                                         "fdff::1",
                                         "fe80::1",
                                         "febf::1",
                                         "fec0::1",
                                         "ff02::1",
                                         "::ffff:10.0.0.1",
                                         "::ffff:127.0.0.1",
                                         "64:ff9b::7f00:1",
                                         "64:ff9b::10.0.0.1",
                                         "64:ff9b:1::1",
                                         "2002:7f00:1::1",
                                         "2002:a00:1::",
                                         "::127.0.0.1",
                                         "2002:c0a8:101::1"}) {
    EXPECT_TRUE(is_special_purpose(*parse_ip(special))) << special;
  }
  for (const std::string_view ordinary :
       {"1.1.1.1",        "9.255.255.255",   "11.0.0.0",         "100.63.255.255",
        "100.128.0.0",    "126.255.255.255", "128.0.0.0",        "169.253.255.255",
        "172.15.255.255", "172.32.0.0",      "192.0.1.0",        "192.167.1.1",
        "198.17.255.255", "198.20.0.0",      "223.255.255.255",  "2606:4700::1111",
        "2a00:1450::1",   "::ffff:8.8.8.8",  "64:ff9b::808:808", "2002:808:808::1"}) {
    EXPECT_FALSE(is_special_purpose(*parse_ip(ordinary))) << ordinary;
  }
}

}  // namespace
}  // namespace sluice
