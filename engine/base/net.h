// Internet addresses as values: parsed, printed, compared, hashed; no sockets. Any thread.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

enum class Family : uint8_t { kIpv4, kIpv6 };

// An IPv4 address lies in the first four octets, the rest zero. Network order.
struct IpAddress {
  Family family = Family::kIpv4;
  std::array<uint8_t, 16> octets{};

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const IpAddress& a) {
    return H::combine(std::move(h), a.family, a.octets);
  }
};

struct SocketAddress {
  IpAddress ip;
  uint16_t port = 0;
  friend auto operator<=>(const SocketAddress&, const SocketAddress&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const SocketAddress& a) {
    return H::combine(std::move(h), a.ip, a.port);
  }
};

// "192.0.2.1" or "2001:db8::1", nothing else (no brackets, no zone).
std::optional<IpAddress> parse_ip(std::string_view text);
// "192.0.2.1:25", "[2001:db8::1]:25"; the port may be missing when `default_port` is not zero.
std::optional<SocketAddress> parse_socket_address(std::string_view text, uint16_t default_port = 0);
std::string to_string(const IpAddress& address);
std::string to_string(const SocketAddress& address);

// A CIDR block such as 127.0.0.0/8 or fd00::/8.
struct Network {
  IpAddress base;
  uint8_t prefix_bits = 0;
  bool contains(const IpAddress& address) const;
};
// Also accepts a bare address (as /32 or /128).
std::optional<Network> parse_network(std::string_view text);
std::string to_string(const Network& network);

// True for addresses that no exchanger on the Internet has: loopback, private (RFC 1918, 6598,
// 4193), link-local, multicast, unspecified, documentation, benchmarking and reserved blocks, also
// when they hide in IPv4-mapped, NAT64 (64:ff9b::/96) and 6to4 (2002::/16) forms. RFC 6890.
bool is_special_purpose(const IpAddress& address);

}  // namespace sluice
