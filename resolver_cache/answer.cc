#include "resolver_cache/answer.h"

#include <algorithm>
#include <utility>

#include "resolver_cache/mx.h"

namespace resolver_cache {
namespace {

const Record* find_cname(const Message& message, std::string_view name) {
  for (const Record& record : message.answers) {
    if (record.type == RecordType::kCname && record.name == name) return &record;
  }
  return nullptr;
}

bool is_within(std::string_view name, std::string_view zone) {
  if (zone.empty() || name == zone) return true;
  return name.size() > zone.size() && name.substr(name.size() - zone.size()) == zone &&
         name[name.size() - zone.size() - 1] == '.';
}

const Record* find_soa(const Message& message, std::string_view name) {
  for (const Record& record : message.authority) {
    if (record.type == RecordType::kSoa && record.soa && is_within(name, record.name)) {
      return &record;
    }
  }
  return nullptr;
}

bool has_name_servers(const Message& message) {
  return std::any_of(message.authority.begin(), message.authority.end(),
                     [](const Record& record) { return record.type == RecordType::kNs; });
}

void collect(const Message& message, RecordType type, Answer& answer) {
  for (const Record& record : message.answers) {
    if (record.type != type || record.name != answer.canonical) continue;
    answer.ttl = std::min(answer.ttl, record.ttl);
    answer.items.push_back({record.preference, record.data});
  }
  if (type == RecordType::kMx) tidy_mx(answer.items);
  if (answer.items.size() > kItemsMax) answer.items.resize(kItemsMax);
}

// A record whose owner was not asked for: neither the name nor a link of its CNAME chain.
bool has_strangers(const Message& message, std::string_view name, std::string_view canonical) {
  return std::any_of(message.answers.begin(), message.answers.end(), [&](const Record& record) {
    return record.type != RecordType::kCname && record.name != name && record.name != canonical;
  });
}

Answer negative(const Message& message, std::string_view name, Answer answer) {
  // RFC 2308 §2.2: no data is an answer section that is empty but for CNAMEs. Records of another
  // name are a resolver's fault, and no recipient bounces for that.
  if (has_strangers(message, name, answer.canonical)) {
    return failed_answer(name, "the answer holds records of other names");
  }
  const Record* soa = find_soa(message, answer.canonical);
  const bool referral = soa == nullptr && message.rcode == Rcode::kNoError &&
                        !message.authoritative && !message.recursion_available &&
                        has_name_servers(message);
  if (referral) return failed_answer(answer.canonical, "the server referred to other servers");
  answer.kind = message.rcode == Rcode::kNameError ? AnswerKind::kNameError : AnswerKind::kNoData;
  answer.ttl = soa == nullptr ? 0 : std::min({answer.ttl, soa->ttl, soa->soa->minimum});
  return answer;
}

}  // namespace

Answer failed_answer(std::string_view name, std::string detail) {
  Answer answer;
  answer.canonical = name;
  answer.detail = std::move(detail);
  return answer;
}

Answer interpret(const Message& message, std::string_view name, RecordType type) {
  if (message.rcode != Rcode::kNoError && message.rcode != Rcode::kNameError) {
    return failed_answer(name, "the server answered " + to_string(message.rcode));
  }
  if (!message.is_response || message.question_name != name || message.question_type != type) {
    return failed_answer(name, "the answer belongs to another question");
  }
  if (message.truncated) return failed_answer(name, "the answer was truncated");

  Answer answer;
  answer.secure = message.authentic_data;
  answer.canonical = name;
  answer.ttl = UINT32_MAX;
  for (int links = 0; type != RecordType::kCname; ++links) {
    const Record* cname = find_cname(message, answer.canonical);
    if (cname == nullptr) break;
    if (links == kCnameLinksMax) return failed_answer(name, "the CNAME chain does not end");
    answer.ttl = std::min(answer.ttl, cname->ttl);
    answer.canonical = cname->data;
  }
  collect(message, type, answer);
  if (answer.items.empty()) return negative(message, name, std::move(answer));
  if (message.rcode == Rcode::kNameError) {
    return failed_answer(name, "the server answered NXDOMAIN with records");
  }
  answer.kind = AnswerKind::kPositive;
  return answer;
}

}  // namespace resolver_cache
