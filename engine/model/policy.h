// Limits and habits towards a site: what shaping rules set.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/time.h"

namespace sluice {

// `amount` per `period`, with at most `burst` at once. amount > 0, period > 0, burst > 0.
struct Rate {
  uint64_t amount = 1;
  Duration period = std::chrono::seconds(1);
  uint64_t burst = 1;
  friend bool operator==(const Rate&, const Rate&) = default;
};
// "100/s", "20/min", "500000/h"
std::string to_string(const Rate& rate);

enum class TlsPolicy : uint8_t { kNone, kOpportunistic, kRequired, kVerified };

// RFC 5321 §4.5.3.2.
struct SmtpTimeouts {
  Duration connect = std::chrono::seconds(30);
  Duration banner = std::chrono::minutes(5);
  Duration ehlo = std::chrono::minutes(5);
  Duration mail_from = std::chrono::minutes(5);
  Duration rcpt_to = std::chrono::minutes(5);
  Duration data = std::chrono::minutes(2);        // until 354
  Duration data_block = std::chrono::minutes(3);  // without progress while content is sent
  Duration data_dot = std::chrono::minutes(10);
  Duration rset = std::chrono::seconds(30);
  Duration quit = std::chrono::seconds(5);
};

// The defaults hold where no rule says otherwise.
struct SitePolicy {
  uint32_t connection_limit = 20;  // per (site, source)
  std::optional<Rate> max_connection_rate;
  std::optional<Rate> max_message_rate;
  uint32_t max_deliveries_per_connection = 1'000;
  uint32_t consecutive_connection_failures_before_delay = 5;
  Duration idle_timeout = std::chrono::seconds(5);
  SmtpTimeouts timeouts;
  std::optional<uint16_t> smtp_port;  // else [smtp] port
  bool enable_pipelining = true;
  uint32_t max_in_flight = 2;
};

// One table of a shaping file: what it sets for the domain it names (and its whole site, unless
// mx_rollup = false), or for all when `domain` is "default".
struct ShapingRule {
  std::string domain;
  std::string file;  // where it stands, for people
  int line = 0;
  bool mx_rollup = true;
  // Sets what the rule names and leaves the rest.
  void apply(SitePolicy& policy) const;

  std::optional<uint32_t> connection_limit;
  std::optional<Rate> max_connection_rate;
  std::optional<Rate> max_message_rate;
  std::optional<uint32_t> max_deliveries_per_connection;
  std::optional<uint32_t> consecutive_connection_failures_before_delay;
  std::optional<Duration> idle_timeout;
  std::optional<Duration> connect_timeout;
  std::optional<Duration> banner_timeout;
  std::optional<Duration> ehlo_timeout;
  std::optional<Duration> mail_from_timeout;
  std::optional<Duration> rcpt_to_timeout;
  std::optional<Duration> data_timeout;
  std::optional<Duration> data_block_timeout;
  std::optional<Duration> data_dot_timeout;
  std::optional<Duration> rset_timeout;
  std::optional<uint16_t> smtp_port;
  std::optional<bool> enable_pipelining;
  std::optional<uint32_t> max_in_flight;
};

// All rules, in the order in which they apply: later ones override.
using ShapingRules = std::vector<ShapingRule>;

}  // namespace sluice
