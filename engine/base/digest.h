// SHA-256, HMAC-SHA-256 and random keys: the one wrapper of OpenSSL's for everything but DKIM and
// TLS. Pure functions; any thread. OpenSSL failing here means a broken machine: CHECK.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// OpenSSL's EVP_MAC_CTX.
struct evp_mac_ctx_st;

namespace sluice {

using Sha256 = std::array<uint8_t, 32>;

Sha256 sha256(std::string_view bytes);
// HMAC (RFC 2104) with SHA-256.
Sha256 hmac_sha256(std::string_view key, std::string_view bytes);
// The same many times under one key; one thread's. Zeroes the key with itself.
class HmacSha256 {
 public:
  explicit HmacSha256(std::string_view key);
  ~HmacSha256();
  HmacSha256(const HmacSha256&) = delete;
  HmacSha256& operator=(const HmacSha256&) = delete;
  Sha256 of(std::string_view bytes);

 private:
  evp_mac_ctx_st* context_;
};
// Whether two texts are equal, in a time that depends on their lengths only.
bool equal_in_constant_time(std::string_view a, std::string_view b);

// Lower-case hexadecimal.
std::string to_hex(std::string_view bytes);
std::string to_hex(const Sha256& digest);
// Lower-case base32 (RFC 4648 alphabet, no padding).
std::string to_base32(std::string_view bytes);
// The same without the string: bytes.size() * 8 / 5 characters, rounded up, at `out`, whose end it
// gives.
char* put_base32(char* out, std::string_view bytes);
// And back, capital letters too; nothing for other characters, or for bits left over that are not
// 0.
std::optional<std::string> from_base32(std::string_view text);
// The octets that hexadecimal digits, of either case, stand for; nothing for other characters.
std::optional<std::string> from_hex(std::string_view text);
// Zeroes the text, and empties it.
void cleanse(std::string& secret);
// Octets from the operating system's generator, for keys. Not for decisions: those take
// Io::random(), which the simulation seeds.
std::string secret_bytes(size_t count);

}  // namespace sluice
