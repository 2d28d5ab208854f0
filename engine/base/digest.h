// SHA-256, HMAC-SHA-256 and random keys: the one wrapper of OpenSSL's for everything but DKIM and
// TLS. Pure functions; any thread. OpenSSL failing here means a broken machine: CHECK.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

using Sha256 = std::array<uint8_t, 32>;

Sha256 sha256(std::string_view bytes);
// HMAC (RFC 2104) with SHA-256.
Sha256 hmac_sha256(std::string_view key, std::string_view bytes);
// Lower-case hexadecimal.
std::string to_hex(std::string_view bytes);
std::string to_hex(const Sha256& digest);
// Lower-case base32 (RFC 4648 alphabet, no padding).
std::string to_base32(std::string_view bytes);
// Octets from the operating system's generator, for keys. Not for decisions: those take
// Io::random(), which the simulation seeds.
std::string secret_bytes(size_t count);

}  // namespace sluice
