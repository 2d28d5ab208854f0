#include "engine/record/event.h"

#include <array>
#include <cinttypes>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/base/digest.h"
#include "engine/base/strings.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kIdOctets = 16;

std::string printable(std::string_view text) {
  return is_utf8(text) ? std::string(text) : escaped(text, text.size());
}

void put(Json& object, const char* key, std::string_view text) {
  if (!text.empty()) object[key] = printable(text);
}

// RFC 3339 with microseconds, UTC.
std::string rfc3339(WallTime t) {
  const int64_t seconds = unix_seconds(t);
  const Duration rest = t - from_unix_seconds(seconds);
  const auto clock = static_cast<std::time_t>(seconds);
  std::tm parts{};
  if (gmtime_r(&clock, &parts) == nullptr) return {};
  std::array<char, 32> date{};
  std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s.%06" PRId64 "Z", date.data(),
                static_cast<int64_t>(rest / std::chrono::microseconds(1)));
  return text.data();
}

std::string event_id(const JournalEntry& entry) {
  std::string key;
  ByteWriter writer(key);
  writer.text(entry.job);
  writer.u32(entry.segment);
  writer.u32(entry.row);
  writer.u32(entry.attempts);
  writer.u8(static_cast<uint8_t>(entry.state));
  return to_hex(sha256(key)).substr(0, 2 * kIdOctets);
}

Json response_of(const JournalEntry& entry) {
  Json response;
  response["code"] = entry.code;
  if (entry.enhanced.present()) {
    response["enhanced_code"] = {{"class", entry.enhanced.klass},
                                 {"subject", entry.enhanced.subject},
                                 {"detail", entry.enhanced.detail}};
  }
  response["content"] = printable(entry.text);
  put(response, "command", entry.command);
  return response;
}

}  // namespace

std::string_view event_type(State state) {
  switch (state) {
    case State::kDeferred:
      return "TransientFailure";
    case State::kDelivered:
      return "Delivery";
    case State::kBounced:
      return "Bounce";
    case State::kExpired:
      return "Expiration";
    case State::kCancelled:
      return "AdminBounce";
    case State::kRejected:
      return "Rejection";
    case State::kSuppressed:
    case State::kDuplicate:
      return "Suppression";
    case State::kWaiting:
    case State::kInFlight:
      break;
  }
  CHECK(false && "an event has a deferred or final state");
}

std::string event_json(const JournalEntry& entry, const EventContext& context) {
  CHECK(entry.kind == JournalEntry::Kind::kVerdict);
  Json event;
  put(event, "type", event_type(entry.state));
  event["id"] = event_id(entry);
  put(event, "job", entry.job);
  if (context.row != 0) event["row"] = context.row;
  put(event, "sender", entry.sender);
  put(event, "recipient", context.recipient);
  put(event, "queue", context.queue);
  put(event, "site", entry.site);
  event["size"] = entry.size;
  event["response"] = response_of(entry);
  if (entry.peer.port != 0) {
    Json peer;
    put(peer, "name", entry.exchanger);
    peer["addr"] = to_string(entry.peer.ip);
    event["peer_address"] = std::move(peer);
    event["delivery_protocol"] = "ESMTP";
  }
  if (!context.source_address.empty()) {
    event["source_address"]["address"] = printable(context.source_address);
  }
  put(event, "egress_pool", context.pool);
  put(event, "egress_source", entry.source);
  event["timestamp"] = unix_seconds(entry.at);
  event["event_time"] = rfc3339(entry.at);
  event["created"] = unix_seconds(entry.first_at);
  event["created_time"] = rfc3339(entry.first_at);
  event["num_attempts"] = entry.attempts;
  if (entry.session != 0) event["session_id"] = std::to_string(entry.session);
  put(event, "nodeid", context.node_id);
  if (entry.maybe_delivered) event["maybe_delivered"] = true;
  return event.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sluice
