// What an answer from the network means for one question. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "resolver_cache/dns_message.h"

namespace resolver_cache {

enum class AnswerKind : uint8_t {
  kPositive,
  kNoData,     // the name exists, records of this type do not (RFC 2308 §2.2)
  kNameError,  // NXDOMAIN
  kFailed,     // nothing was learnt: time-out, SERVFAIL, REFUSED, nonsense
};

// One record of the type asked for; `data` as in Record.
struct Item {
  uint16_t preference = 0;  // MX only
  std::string data;
};

inline constexpr size_t kItemsMax = 65;  // see mx.h
inline constexpr int kCnameLinksMax = 16;

struct Answer {
  AnswerKind kind = AnswerKind::kFailed;
  bool secure = false;  // the resolver set AD
  // Seconds, as the answer says it, unclamped. Positive: the least of the records and the CNAMEs
  // that lead to them. Negative: min(SOA MINIMUM, SOA TTL) and the CNAMEs; 0 without an SOA.
  uint32_t ttl = 0;
  std::string canonical;    // the end of the CNAME chain, or the name asked for
  std::vector<Item> items;  // positive only: 1 to kItemsMax; MX tidied as mx.h says
  std::string detail;       // failed only: why, in words for people
};

// A failed answer that never came from the network.
Answer failed_answer(std::string_view name, std::string detail);

// Judges `message` as the answer to (name, type). Records of other names are ignored. An answer to
// another question, a truncated one, a referral, a CNAME loop or a chain of more than
// kCnameLinksMax is kFailed. `name` is canonical text.
Answer interpret(const Message& message, std::string_view name, RecordType type);

}  // namespace resolver_cache
