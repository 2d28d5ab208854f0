// Any packet is read or refused; what was read can be written and is then read as the same.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "resolver_cache/answer.h"
#include "resolver_cache/dns_message.h"
#include "resolver_cache/dns_name.h"
#include "tests/fuzz/input.h"

namespace resolver_cache {
namespace {

constexpr size_t kBytesMax = 0xFFFF;

bool same(const std::optional<Soa>& a, const std::optional<Soa>& b) {
  if (a.has_value() != b.has_value()) return false;
  return !a || (a->primary == b->primary && a->mailbox == b->mailbox && a->serial == b->serial &&
                a->refresh == b->refresh && a->retry == b->retry && a->expire == b->expire &&
                a->minimum == b->minimum);
}

bool same(const std::vector<Record>& a, const std::vector<Record>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].name != b[i].name || a[i].type != b[i].type || a[i].ttl != b[i].ttl ||
        a[i].preference != b[i].preference || a[i].data != b[i].data || !same(a[i].soa, b[i].soa)) {
      return false;
    }
  }
  return true;
}

bool same_head(const Message& a, const Message& b) {
  return a.id == b.id && a.rcode == b.rcode && a.is_response == b.is_response &&
         a.authoritative == b.authoritative && a.recursion_desired == b.recursion_desired &&
         a.recursion_available == b.recursion_available && a.authentic_data == b.authentic_data &&
         a.has_edns == b.has_edns && a.question_name == b.question_name &&
         a.question_type == b.question_type &&
         (!a.has_edns || a.udp_payload_bytes == b.udp_payload_bytes);
}

void check_name(const std::string& name) {
  CHECK(canonical_name(name) == name);
  const std::optional<std::string> wire = name_to_wire(name);
  CHECK(wire.has_value());
  CHECK(wire->size() <= kNameBytesMax);
  size_t offset = 0;
  CHECK(name_from_wire(*wire, offset) == name);
  CHECK(offset == wire->size());
}

void check_records(const std::vector<Record>& records) {
  for (const Record& record : records) {
    check_name(record.name);
    CHECK(record.ttl <= 0x7FFFFFFF);
    if (record.type == RecordType::kMx || record.type == RecordType::kCname ||
        record.type == RecordType::kNs) {
      check_name(record.data);
    }
  }
}

void check_answer(const Message& message, const std::string& name, RecordType type) {
  const Answer answer = interpret(message, name, type);
  CHECK(answer.items.size() <= kItemsMax);
  CHECK((answer.kind == AnswerKind::kPositive) == !answer.items.empty());
  CHECK((answer.kind == AnswerKind::kFailed) == !answer.detail.empty());
  if (answer.kind != AnswerKind::kFailed) CHECK(canonical_name(answer.canonical).has_value());
  if (type != RecordType::kMx) return;
  for (size_t i = 1; i < answer.items.size(); ++i) {
    CHECK(answer.items[i - 1].preference <= answer.items[i].preference);
    CHECK(!answer.items[i].data.empty());
  }
}

void check_message(const Message& message) {
  CHECK(message.answers.size() + message.authority.size() + message.additional.size() <=
        kRecordsMax);
  check_name(message.question_name);
  check_records(message.answers);
  check_records(message.authority);
  check_records(message.additional);
  for (const RecordType type : {RecordType::kMx, RecordType::kA, RecordType::kAaaa}) {
    check_answer(message, message.question_name, type);
  }
  check_answer(message, message.question_name, message.question_type);

  const std::optional<std::string> packet = encode_response(message, kBytesMax);
  CHECK(packet.has_value());
  CHECK(packet->size() <= kBytesMax);
  const std::optional<Message> again = parse_message(*packet);
  CHECK(again.has_value());
  CHECK(same_head(message, *again));
  if (again->truncated == message.truncated && !again->truncated) {
    CHECK(same(message.answers, again->answers));
    CHECK(same(message.authority, again->authority));
    CHECK(same(message.additional, again->additional));
  }
  const std::optional<std::string> small = encode_response(message, kUdpBytesWithoutEdns);
  CHECK(small.has_value());
  CHECK(small->size() <= kUdpBytesWithoutEdns);
  const std::optional<Message> cut = parse_message(*small);
  CHECK(cut.has_value());
  CHECK(same_head(message, *cut));
  CHECK(cut->truncated || same(message.answers, cut->answers));
}

// Names behind the reach of a compression pointer are written out.
void check_beyond_pointers(Message message) {
  message.truncated = false;
  message.answers.insert(message.answers.begin(), make_txt("", 1, std::string(17'000, 'x')));
  const std::optional<std::string> packet = encode_response(message, kBytesMax);
  CHECK(packet.has_value());
  const std::optional<Message> again = parse_message(*packet);
  const size_t records =
      message.answers.size() + message.authority.size() + message.additional.size();
  CHECK(again.has_value());
  if (!again->truncated && records <= kRecordsMax) {
    CHECK(same(message.answers, again->answers));
    CHECK(same(message.additional, again->additional));
  }
}

void check_query(const Query& query) {
  const std::optional<std::string> packet = encode_query(query);
  CHECK(packet.has_value());
  const std::optional<Query> again = parse_query(*packet);
  CHECK(again.has_value());
  CHECK(again->name == query.name && again->type == query.type && again->id == query.id);
  CHECK(again->recursion_desired == query.recursion_desired);
  CHECK(again->authentic_data == query.authentic_data);
  CHECK(again->udp_payload_bytes == query.udp_payload_bytes);
}

}  // namespace
}  // namespace resolver_cache

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace resolver_cache;
  sluice::fuzz::Input input(data, size);
  const std::string_view packet = input.rest();
  if (const std::optional<Message> message = parse_message(packet)) {
    check_message(*message);
    if (packet.size() % 4 == 0) check_beyond_pointers(*message);
  }
  if (const std::optional<Query> query = parse_query(packet)) check_query(*query);
  if (const std::optional<std::string> name = canonical_name(packet)) check_name(*name);
  return 0;
}
