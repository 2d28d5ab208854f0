// Tokens: names of a recipient for the world outside, which nobody without the key can make.
//
// PURPOSE. A bounce token stands in the envelope sender (VERP): bounce+TOKEN@example.com, so that a
//   late bounce can be tied to its recipient. An unsubscribe token is the field {{token}}. They
//   have keys of their own: who sees one of them can forge neither.
// FORM. 32 letters and digits: base32 (RFC 4648, lower-case; read in either case) of 20 octets: the
//   first 6 of the SHA-256 of the job's id, 5 of the row's number in the list (big-endian), and the
//   first 9 of the HMAC-SHA-256 of the kind (1 octet), the row's number (8 octets, big-endian) and
//   the job's id. The same for a row at every attempt.
// OWNERSHIP. Keys are shared and immutable, zeroed at their end, in no message and no log.
// THREAD. Any. Each thread that makes tokens keeps one OpenSSL context a kind for the key used
// last. LIMITS. Rows beyond 2^40 - 1 (CHECK): no list has so many. BUGS. OpenSSL keeps a key in
// ordinary memory, which may be swapped out or land in a core file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace sluice {

enum class TokenKind : uint8_t { kBounce, kUnsubscribe };
inline constexpr size_t kTokenKinds = 2;

inline constexpr size_t kTokenChars = 32;
using Token = std::array<char, kTokenChars>;
inline std::string_view text_of(const Token& token) { return {token.data(), token.size()}; }

// A key's octets, and in its file twice as many hexadecimal digits and a line end.
inline constexpr size_t kTokenKeyBytes = 32;

class TokenKeys {
 public:
  // What the two key files hold. Errors say what a key file looks like.
  static StatusOr<std::shared_ptr<const TokenKeys>> parse(std::string_view bounce,
                                                          std::string_view unsubscribe);
  ~TokenKeys();
  TokenKeys(const TokenKeys&) = delete;
  TokenKeys& operator=(const TokenKeys&) = delete;

  std::string_view of(TokenKind kind) const { return keys_[static_cast<size_t>(kind)]; }
  // No two objects of a process have the same.
  uint64_t number() const { return number_; }

 private:
  TokenKeys();
  std::array<std::string, kTokenKinds> keys_;
  const uint64_t number_;
};
using TokenKeysPtr = std::shared_ptr<const TokenKeys>;

// What is wrong with the contents of a key file; OK: nothing.
Status check_token_key(std::string_view contents);
// What a key file holds: a new key.
std::string make_token_key();

// Makes the tokens of one job, without allocating.
class TokenMaker {
 public:
  TokenMaker(TokenKeysPtr keys, std::string_view job_id);
  Token make(TokenKind kind, uint64_t row) const;
  // Whether `token` is one of this job, in a time that says nothing of the key.
  bool is_genuine(TokenKind kind, std::string_view token) const;

 private:
  TokenKeysPtr keys_;
  std::string job_id_;
  std::string job_;  // as a token has it
};

// What a token says, to find the job by, which alone can tell whether it is genuine.
struct TokenContents {
  std::string job;   // token_job() of its id
  uint64_t row = 0;  // of the list, as {{row}}
};
std::string token_job(std::string_view job_id);
// Nothing for a text that is no token.
std::optional<TokenContents> read_token(std::string_view text);

}  // namespace sluice
