#include "engine/record/event.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "engine/base/check.h"
#include "engine/record/json_text.h"

namespace sluice {
namespace {

// --- one object's members: each appends a comma first unless it is the first ---------------------

void put_key(std::string& out, std::string_view key) {
  std::array<char, 32> text;
  char* to = text.data();
  CHECK(key.size() + 4 <= text.size());
  if (out.back() != '{') *to++ = ',';
  *to++ = '"';
  to = std::copy(key.begin(), key.end(), to);
  *to++ = '"';
  *to++ = ':';
  out.append(text.data(), to);
}

void put(std::string& out, std::string_view key, std::string_view text) {
  if (text.empty()) return;
  put_key(out, key);
  append_json_text(out, text);
}

void append_number(std::string& out, int64_t number) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

void put_number(std::string& out, std::string_view key, uint64_t number) {
  put_key(out, key);
  append_number(out, static_cast<int64_t>(number));
}

char* put_digits(char* to, uint32_t value, int count) {
  for (int i = count - 1; i >= 0; --i) {
    to[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return to + count;
}

// RFC 3339 with microseconds, UTC: always 27 octets, so that texts sort as times do.
void put_time(std::string& out, std::string_view key, WallTime t) {
  using std::chrono::floor;
  const auto us = floor<std::chrono::microseconds>(t.time_since_epoch());
  const auto days = floor<std::chrono::days>(us);
  const std::chrono::year_month_day date{std::chrono::sys_days(days)};
  const auto rest = static_cast<uint64_t>((us - days).count());
  std::array<char, 29> text;
  char* to = text.data();
  *to++ = '"';
  to = put_digits(to, static_cast<uint32_t>(static_cast<int>(date.year())), 4);
  *to++ = '-';
  to = put_digits(to, static_cast<unsigned>(date.month()), 2);
  *to++ = '-';
  to = put_digits(to, static_cast<unsigned>(date.day()), 2);
  *to++ = 'T';
  const auto seconds = static_cast<uint32_t>(rest / 1'000'000);
  to = put_digits(to, seconds / 3'600, 2);
  *to++ = ':';
  to = put_digits(to, seconds / 60 % 60, 2);
  *to++ = ':';
  to = put_digits(to, seconds % 60, 2);
  *to++ = '.';
  to = put_digits(to, static_cast<uint32_t>(rest % 1'000'000), 6);
  *to++ = 'Z';
  *to++ = '"';
  put_key(out, key);
  out.append(text.data(), text.size());
}

char* put_hex(char* to, uint64_t value, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    *to++ = "0123456789abcdef"[value >> shift & 0xF];
  }
  return to;
}

// 32 hexadecimal digits. The creation of a file, to the nanosecond, tells hosts and spools apart.
void put_id(std::string& out, const EventPlace& place) {
  put_key(out, "id");
  std::array<char, 34> text;
  char* to = text.data();
  *to++ = '"';
  to = put_hex(to, static_cast<uint64_t>(place.file_created.time_since_epoch().count()), 16);
  to = put_hex(to, place.shard, 3);
  to = put_hex(to, place.file_number, 5);
  to = put_hex(to, place.verdict, 8);
  *to++ = '"';
  out.append(text.data(), text.size());
}

void put_response(std::string& out, const JournalEntry& entry) {
  put_key(out, "response");
  out += '{';
  put_number(out, "code", entry.code);
  if (entry.enhanced.present()) {
    put_key(out, "enhanced_code");
    out += '{';
    put_number(out, "class", entry.enhanced.klass);
    put_number(out, "subject", entry.enhanced.subject);
    put_number(out, "detail", entry.enhanced.detail);
    out += '}';
  }
  put_key(out, "content");
  append_json_text(out, entry.text);
  put(out, "command", entry.command);
  out += '}';
}

void put_address(std::string& out, const IpAddress& ip) {
  put_key(out, "addr");
  out += '"';
  if (ip.family == Family::kIpv4) {
    for (size_t i = 0; i < 4; ++i) {
      if (i > 0) out += '.';
      append_number(out, ip.octets[i]);
    }
  } else {
    out += to_string(ip);
  }
  out += '"';
}

void put_peer(std::string& out, const JournalEntry& entry) {
  put_key(out, "peer_address");
  out += '{';
  put(out, "name", entry.exchanger);
  put_address(out, entry.peer.ip);
  out += '}';
  put(out, "delivery_protocol", "ESMTP");
}

// `dane`: that it was, or had to be, authenticated so (RFC 7672).
void put_tls(std::string& out, const TlsNote& tls) {
  put(out, "tls_protocol_version", tls.protocol);
  put(out, "tls_cipher", tls.cipher);
  put(out, "tls_policy", tls.policy);
  put(out, "tls_authenticated", tls.passed);
  put(out, "tls_reason", tls.reason);
  if (tls.resumed) {
    put_key(out, "tls_resumed");
    out += "true";
  }
  if (tls.policy == "dane" || tls.passed == "dane") {
    put_key(out, "dane");
    out += tls.passed == "dane" ? "true" : "false";
  }
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

void append_event(std::string& out, const JournalEntry& entry, const EventContext& context) {
  CHECK(entry.kind == JournalEntry::Kind::kVerdict);
  out += '{';
  put(out, "type", event_type(entry.state));
  put_id(out, context.place);
  put(out, "job", entry.job);
  if (context.row != 0) put_number(out, "row", context.row);
  put(out, "sender", entry.sender);
  put(out, "recipient", context.recipient);
  put(out, "queue", context.queue);
  put(out, "site", entry.site);
  put_number(out, "size", entry.size);
  put_response(out, entry);
  if (entry.peer.port != 0) put_peer(out, entry);
  if (!context.source_address.empty()) {
    put_key(out, "source_address");
    out += '{';
    put(out, "address", context.source_address);
    out += '}';
  }
  put(out, "egress_pool", context.pool);
  put(out, "egress_source", entry.source);
  put_key(out, "timestamp");
  append_number(out, unix_seconds(entry.at));
  put_time(out, "event_time", entry.at);
  put_key(out, "created");
  append_number(out, unix_seconds(entry.first_at));
  put_time(out, "created_time", entry.first_at);
  put_number(out, "num_attempts", entry.attempts);
  if (entry.session != 0) {
    put_key(out, "session_id");
    out += '"';
    append_number(out, static_cast<int64_t>(entry.session));
    out += '"';
  }
  put(out, "nodeid", context.node_id);
  if (entry.maybe_delivered) {
    put_key(out, "maybe_delivered");
    out += "true";
  }
  if (entry.dns_stale) {
    put_key(out, "dns_stale");
    out += "true";
  }
  if (!entry.tls.policy.empty()) put_tls(out, entry.tls);
  out += "}\n";
}

std::string event_json(const JournalEntry& entry, const EventContext& context) {
  std::string line;
  append_event(line, entry, context);
  line.pop_back();
  return line;
}

}  // namespace sluice
