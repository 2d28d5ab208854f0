#include "engine/base/net.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr std::string_view kSpecialIpv4[] = {
    "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4"};
constexpr std::string_view kSpecialIpv6[] = {
    "::/128",   "::1/128",   "100::/64",  "2001:2::/48", "2001:db8::/32", "3fff::/20",
    "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",    "5f00::/16"};

IpAddress embedded_ipv4(const IpAddress& address, size_t offset) {
  IpAddress inner;
  std::copy_n(address.octets.begin() + static_cast<std::ptrdiff_t>(offset), 4,
              inner.octets.begin());
  return inner;
}

bool in_any(const IpAddress& address, const std::string_view* blocks, size_t count) {
  return std::any_of(blocks, blocks + count,
                     [&](std::string_view cidr) { return parse_network(cidr)->contains(address); });
}

}  // namespace

std::optional<IpAddress> parse_ip(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN + 1];
  if (text.empty() || text.size() >= sizeof buffer) return std::nullopt;
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  IpAddress address;
  if (inet_pton(AF_INET, buffer, address.octets.data()) == 1) return address;
  address.family = Family::kIpv6;
  if (inet_pton(AF_INET6, buffer, address.octets.data()) == 1) return address;
  return std::nullopt;
}

std::optional<SocketAddress> parse_socket_address(std::string_view text, uint16_t default_port) {
  std::string_view host = text;
  std::string_view port;
  bool has_port = false;
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty()) {
      if (rest.front() != ':') return std::nullopt;
      has_port = true;
      port = rest.substr(1);
    }
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    const size_t colon = text.find(':');
    host = text.substr(0, colon);
    has_port = true;
    port = text.substr(colon + 1);
  }
  const auto ip = parse_ip(host);
  if (!ip) return std::nullopt;
  if (!has_port) {
    if (default_port == 0) return std::nullopt;
    return SocketAddress{*ip, default_port};
  }
  const auto number = parse_decimal(port);
  if (!number || *number == 0 || *number > 65535) return std::nullopt;
  return SocketAddress{*ip, static_cast<uint16_t>(*number)};
}

std::string to_string(const IpAddress& address) {
  char buffer[INET6_ADDRSTRLEN];
  const int family = address.family == Family::kIpv4 ? AF_INET : AF_INET6;
  return inet_ntop(family, address.octets.data(), buffer, sizeof buffer);
}

std::string to_string(const SocketAddress& address) {
  const std::string host = to_string(address.ip);
  const std::string port = std::to_string(address.port);
  if (address.ip.family == Family::kIpv4) return host + ":" + port;
  return "[" + host + "]:" + port;
}

bool Network::contains(const IpAddress& address) const {
  if (address.family != base.family) return false;
  const size_t whole = prefix_bits / 8;
  if (!std::equal(base.octets.begin(), base.octets.begin() + static_cast<std::ptrdiff_t>(whole),
                  address.octets.begin())) {
    return false;
  }
  const int rest = prefix_bits % 8;
  if (rest == 0) return true;
  const int mask = 0xFF << (8 - rest) & 0xFF;
  return ((base.octets[whole] ^ address.octets[whole]) & mask) == 0;
}

std::optional<Network> parse_network(std::string_view text) {
  const size_t slash = text.find('/');
  const auto base = parse_ip(text.substr(0, slash));
  if (!base) return std::nullopt;
  const unsigned bits_max = base->family == Family::kIpv4 ? 32 : 128;
  if (slash == std::string_view::npos) return Network{*base, static_cast<uint8_t>(bits_max)};
  const auto bits = parse_decimal(text.substr(slash + 1));
  if (!bits || *bits > bits_max) return std::nullopt;
  return Network{*base, static_cast<uint8_t>(*bits)};
}

std::string to_string(const Network& network) {
  return to_string(network.base) + "/" + std::to_string(network.prefix_bits);
}

bool is_special_purpose(const IpAddress& address) {
  if (address.family == Family::kIpv4) {
    return in_any(address, kSpecialIpv4, std::size(kSpecialIpv4));
  }
  static const Network mapped = *parse_network("::ffff:0:0/96");
  static const Network compatible = *parse_network("::/96");
  static const Network nat64 = *parse_network("64:ff9b::/96");
  static const Network nat64_local = *parse_network("64:ff9b:1::/48");
  static const Network six_to_four = *parse_network("2002::/16");
  if (in_any(address, kSpecialIpv6, std::size(kSpecialIpv6))) return true;
  if (nat64_local.contains(address)) return true;
  if (mapped.contains(address) || nat64.contains(address) || compatible.contains(address)) {
    return is_special_purpose(embedded_ipv4(address, 12));
  }
  if (six_to_four.contains(address)) return is_special_purpose(embedded_ipv4(address, 2));
  return false;
}

}  // namespace sluice
