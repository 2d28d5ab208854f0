#include "engine/config/shaping_keys.h"

#include <sstream>
#include <string>

#include "engine/base/strings.h"

namespace sluice::config {
namespace {

using std::chrono::milliseconds;

// A time-out: a text with its unit, or, as KumoMTA reads it, a whole number of seconds.
void read_timeout(Section& section, std::string_view key, std::optional<Duration>& out,
                  Duration least = milliseconds(1), Duration most = std::chrono::hours(24)) {
  const toml::node* node = section.find(key);
  if (node == nullptr) return;
  if (node->is_integer()) {
    uint64_t count = 0;
    const uint64_t least_seconds = least.count() == 0 ? 0 : 1;
    const auto most_seconds = std::chrono::duration_cast<std::chrono::seconds>(most).count();
    if (section.number(key, count, least_seconds, static_cast<uint64_t>(most_seconds))) {
      out = std::chrono::seconds(static_cast<int64_t>(count));
    }
    return;
  }
  Duration value{};
  if (section.duration(key, value, least, most)) out = value;
}

template <std::optional<uint32_t> ShapingKeys::*member, uint64_t most>
void limit(Section& section, std::string_view key, ShapingKeys& out) {
  read_limit(section, key, out.*member, most);
}

template <std::optional<Duration> ShapingKeys::*member>
void timeout(Section& section, std::string_view key, ShapingKeys& out) {
  read_timeout(section, key, out.*member);
}

template <std::optional<Rate> ShapingKeys::*member>
void rate(Section& section, std::string_view key, ShapingKeys& out) {
  section.rate(key, out.*member);
}

template <std::optional<bool> ShapingKeys::*member>
void flag(Section& section, std::string_view key, ShapingKeys& out) {
  bool value = false;
  if (section.flag(key, value)) out.*member = value;
}

void idle_timeout(Section& section, std::string_view key, ShapingKeys& out) {
  read_timeout(section, key, out.idle_timeout, Duration(0));
}

void smtp_port(Section& section, std::string_view key, ShapingKeys& out) {
  uint16_t port = 0;
  if (section.number(key, port, 1, 65'535)) out.smtp_port = port;
}

void blind_chunking(Section& section, std::string_view key, ShapingKeys& out) {
  static constexpr Word<BlindChunking> kWords[] = {{"off", BlindChunking::kOff},
                                                   {"earned", BlindChunking::kEarned},
                                                   {"trusted", BlindChunking::kTrusted}};
  BlindChunking blind{};
  if (section.choice(key, kWords, blind)) out.blind_chunking = blind;
}

void on_unknown(Section& section, std::string_view key, ShapingKeys& out) {
  static constexpr Word<OnUnknown> kWords[] = {{"retry", OnUnknown::kRetry},
                                               {"delivered", OnUnknown::kDelivered}};
  OnUnknown what{};
  if (section.choice(key, kWords, what)) out.on_unknown = what;
}

// KumoMTA's words and what they mean here.
void enable_tls(Section& section, std::string_view key, ShapingKeys& out) {
  static constexpr Word<TlsPolicy> kWords[] = {{"Opportunistic", TlsPolicy::kVerifiedIfOffered},
                                               {"OpportunisticInsecure", TlsPolicy::kOpportunistic},
                                               {"Required", TlsPolicy::kVerified},
                                               {"RequiredInsecure", TlsPolicy::kRequired},
                                               {"Disabled", TlsPolicy::kNone}};
  TlsPolicy policy{};
  if (section.choice(key, kWords, policy)) out.tls = policy;
}

void remember_broken_tls(Section& section, std::string_view key, ShapingKeys& out) {
  read_timeout(section, key, out.remember_broken_tls, Duration(0), std::chrono::hours(24 * 30));
}

}  // namespace

void read_limit(Section& section, std::string_view key, std::optional<uint32_t>& out,
                uint64_t most) {
  const toml::node* node = section.find(key);
  if (node == nullptr) return;
  uint32_t value = 0;
  if (!node->is_string()) {
    if (section.number(key, value, 1, most)) out = value;
    return;
  }
  std::string text;
  if (!section.text(key, text)) return;
  std::string_view rest = text;
  if (starts_with_ignore_case(rest, "local:")) rest.remove_prefix(6);
  std::string digits;
  for (const char c : rest) {
    if (c != ',' && c != '_') digits += c;
  }
  const std::optional<uint64_t> number = parse_decimal(digits);
  if (!number || *number == 0 || *number > most) {
    section.error(key, "= " + quote(text) + " is not a limit between 1 and " +
                           std::to_string(most) + "; write it as a whole number");
    return;
  }
  out = static_cast<uint32_t>(*number);
}

const std::vector<ShapingKey>& built_shaping_keys() {
  using K = ShapingKeys;
  static const std::vector<ShapingKey> keys = {
      {"connection_limit", limit<&K::connection_limit, 1'000'000>},
      {"max_connection_rate", rate<&K::max_connection_rate>},
      {"max_message_rate", rate<&K::max_message_rate>},
      {"max_deliveries_per_connection", limit<&K::max_deliveries_per_connection, 1'000'000'000>},
      {"max_recipients_per_batch", limit<&K::max_recipients_per_batch, 1'000'000>},
      {"max_in_flight", limit<&K::max_in_flight, 1'000>},
      {"consecutive_connection_failures_before_delay",
       limit<&K::consecutive_connection_failures_before_delay, 1'000'000>},
      {"idle_timeout", idle_timeout},
      {"connect_timeout", timeout<&K::connect_timeout>},
      {"banner_timeout", timeout<&K::banner_timeout>},
      {"ehlo_timeout", timeout<&K::ehlo_timeout>},
      {"mail_from_timeout", timeout<&K::mail_from_timeout>},
      {"rcpt_to_timeout", timeout<&K::rcpt_to_timeout>},
      {"data_timeout", timeout<&K::data_timeout>},
      {"data_block_timeout", timeout<&K::data_block_timeout>},
      {"data_dot_timeout", timeout<&K::data_dot_timeout>},
      {"rset_timeout", timeout<&K::rset_timeout>},
      {"smtp_port", smtp_port},
      {"enable_pipelining", flag<&K::enable_pipelining>},
      {"enable_chunking", flag<&K::enable_chunking>},
      {"blind_chunking", blind_chunking},
      {"on_unknown", on_unknown},
      {"enable_tls", enable_tls},
      {"enable_dane", flag<&K::enable_dane>},
      {"enable_mta_sts", flag<&K::enable_mta_sts>},
      {"remember_broken_tls", remember_broken_tls},
      {"starttls_timeout", timeout<&K::starttls_timeout>},
      {"tls_handshake_timeout", timeout<&K::tls_handshake_timeout>},
  };
  return keys;
}

std::string written_value(Section& section, std::string_view key) {
  const toml::node* node = section.find(key);
  if (const auto* text = node->as_string()) return text->get();
  std::ostringstream out;
  node->visit([&out](const auto& value) { out << value; });
  return out.str();
}

}  // namespace sluice::config
