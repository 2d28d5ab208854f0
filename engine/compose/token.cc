#include "engine/compose/token.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/digest.h"
#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr size_t kJobBytes = 6;
constexpr size_t kRowBytes = 5;
constexpr size_t kMacBytes = 9;
constexpr size_t kTokenBytes = kJobBytes + kRowBytes + kMacBytes;
static_assert(kTokenBytes * 8 == kTokenChars * 5);

std::atomic<uint64_t> next_number{1};

void append_number(std::string& out, uint64_t number, size_t octets) {
  for (size_t i = octets; i > 0; --i) out += static_cast<char>((number >> (8 * (i - 1))) & 0xFF);
}

std::string_view octets_of(const Sha256& digest, size_t count) {
  return {reinterpret_cast<const char*>(digest.data()), count};
}

HmacSha256& mac_of(const TokenKeys& keys, TokenKind kind) {
  struct Kept {
    uint64_t number = 0;
    std::unique_ptr<HmacSha256> mac;
  };
  thread_local std::array<Kept, kTokenKinds> kept_by_kind;
  Kept& kept = kept_by_kind[static_cast<size_t>(kind)];
  if (kept.number != keys.number()) {
    kept.mac = std::make_unique<HmacSha256>(keys.of(kind));
    kept.number = keys.number();
  }
  return *kept.mac;
}

StatusOr<std::string> parse_key(std::string_view text) {
  std::optional<std::string> key = from_hex(trim(text));
  if (!key || key->size() != kTokenKeyBytes) {
    if (key) cleanse(*key);
    return invalid(
        "is no key: it holds 64 hexadecimal digits; make one with: openssl rand -hex 32");
  }
  return std::move(*key);
}

}  // namespace

TokenKeys::TokenKeys() : number_(next_number.fetch_add(1, std::memory_order_relaxed)) {}

TokenKeys::~TokenKeys() {
  for (std::string& key : keys_) cleanse(key);
}

StatusOr<std::shared_ptr<const TokenKeys>> TokenKeys::parse(std::string_view bounce,
                                                            std::string_view unsubscribe) {
  const std::shared_ptr<TokenKeys> keys(new TokenKeys());
  ASSIGN_OR_RETURN(keys->keys_[0], parse_key(bounce));
  ASSIGN_OR_RETURN(keys->keys_[1], parse_key(unsubscribe));
  return std::shared_ptr<const TokenKeys>(keys);
}

Status check_token_key(std::string_view contents) {
  StatusOr<std::string> key = parse_key(contents);
  if (!key.ok()) return key.status();
  cleanse(*key);
  return {};
}

std::string make_token_key() {
  std::string key = secret_bytes(kTokenKeyBytes);
  std::string text = to_hex(key) + "\n";
  cleanse(key);
  return text;
}

std::string token_job(std::string_view job_id) {
  return std::string(octets_of(sha256(job_id), kJobBytes));
}

TokenMaker::TokenMaker(TokenKeysPtr keys, std::string_view job_id)
    : keys_(std::move(keys)), job_id_(job_id), job_(token_job(job_id)) {
  CHECK(keys_ != nullptr);
}

Token TokenMaker::make(TokenKind kind, uint64_t row) const {
  CHECK(row >> (8 * kRowBytes) == 0);
  thread_local std::string work;
  work.assign(1, static_cast<char>(kind));
  append_number(work, row, 8);
  work += job_id_;
  const Sha256 mac = mac_of(*keys_, kind).of(work);
  work = job_;
  append_number(work, row, kRowBytes);
  work += octets_of(mac, kMacBytes);
  Token token;
  put_base32(token.data(), work);
  return token;
}

bool TokenMaker::is_genuine(TokenKind kind, std::string_view token) const {
  const std::optional<TokenContents> contents = read_token(token);
  if (!contents) return false;
  const Token ours = make(kind, contents->row);
  return equal_in_constant_time(to_lower(token), text_of(ours));
}

std::optional<TokenContents> read_token(std::string_view text) {
  if (text.size() != kTokenChars) return std::nullopt;
  const std::optional<std::string> octets = from_base32(text);
  if (!octets) return std::nullopt;
  TokenContents contents;
  contents.job = octets->substr(0, kJobBytes);
  for (const char c : octets->substr(kJobBytes, kRowBytes)) {
    contents.row = contents.row << 8 | static_cast<unsigned char>(c);
  }
  return contents;
}

}  // namespace sluice
