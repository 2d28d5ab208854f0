// Limits and habits towards a site: what shaping rules set.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/time.h"

namespace sluice {

// `amount` per `period`, with at most `burst` at once. amount > 0, period > 0, burst > 0.
// Whoever reads rates from text without a burst makes it what falls into 10 ms (config/quantity.h):
// with a burst of 1 each permit that is fetched late moves all later ones, so a rate whose permits
// are nearer to each other than a busy loop's turns would never be reached.
struct Rate {
  uint64_t amount = 1;
  Duration period = std::chrono::seconds(1);
  uint64_t burst = 1;
  friend bool operator==(const Rate&, const Rate&) = default;
};
// "100/s", "20/min", "500000/h": without the burst.
std::string to_string(const Rate& rate);

// What a session towards a receiver must be. kVerifiedIfOffered is KumoMTA's `Opportunistic`: in
// clear where STARTTLS is not offered, else as kVerified.
enum class TlsPolicy : uint8_t {
  kNone,               // in clear
  kOpportunistic,      // encrypted where that works, whatever the certificate
  kVerifiedIfOffered,  // in clear only where STARTTLS is not offered
  kRequired,           // encrypted, whatever the certificate
  kVerified,           // encrypted, and the certificate is the exchanger's
};
// Asks for whatever either of both asks for.
TlsPolicy strictest(TlsPolicy a, TlsPolicy b);
// "none", "opportunistic", "verified-if-offered", "required", "verified": a literal.
const char* name_of(TlsPolicy policy);

// Whether messages are sent by BDAT before their envelope is answered (RFC 3030; converse/depth.h).
enum class BlindChunking : uint8_t {
  kOff,
  kEarned,   // once the exchanger has passed the probe and answered enough messages in step
  kTrusted,  // from the first message
};
// "off", "earned", "trusted": a literal.
const char* name_of(BlindChunking blind);

// What becomes of a recipient whose content was wholly sent when the connection broke before the
// answer.
enum class OnUnknown : uint8_t { kRetry, kDelivered };
const char* name_of(OnUnknown on_unknown);  // "retry", "delivered": a literal

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
  Duration starttls = std::chrono::minutes(1);       // the reply to STARTTLS
  Duration tls_handshake = std::chrono::minutes(1);  // all of it
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
  bool enable_chunking = true;
  BlindChunking blind_chunking = BlindChunking::kEarned;
  uint32_t max_in_flight = 16;              // messages of a connection without a verdict
  uint32_t max_recipients_per_batch = 100;  // of one transaction
  OnUnknown on_unknown = OnUnknown::kRetry;
  // Where no rule sets these, [tls] holds.
  std::optional<TlsPolicy> tls;
  std::optional<bool> enable_dane;
  std::optional<bool> enable_mta_sts;
  // So long an exchanger whose handshake failed gets opportunistic mail in clear; 0: until the next
  // connection.
  Duration remember_broken_tls = std::chrono::hours(1);
};

// What a table of a shaping file, or its automation, may set of a SitePolicy.
struct ShapingKeys {
  // Sets what is set here and leaves the rest.
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
  std::optional<bool> enable_chunking;
  std::optional<BlindChunking> blind_chunking;
  std::optional<uint32_t> max_in_flight;
  std::optional<uint32_t> max_recipients_per_batch;
  std::optional<OnUnknown> on_unknown;
  std::optional<TlsPolicy> tls;
  std::optional<bool> enable_dane;
  std::optional<bool> enable_mta_sts;
  std::optional<Duration> remember_broken_tls;
  std::optional<Duration> starttls_timeout;
  std::optional<Duration> tls_handshake_timeout;
};

}  // namespace sluice
