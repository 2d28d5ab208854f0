#include "engine/model/policy.h"

#include <utility>

namespace sluice {
namespace {

template <typename T, typename U>
void set(T& target, const std::optional<U>& value) {
  if (value) target = *value;
}

}  // namespace

void ShapingKeys::apply(SitePolicy& policy) const {
  set(policy.connection_limit, connection_limit);
  set(policy.max_connection_rate, max_connection_rate);
  set(policy.max_message_rate, max_message_rate);
  set(policy.max_deliveries_per_connection, max_deliveries_per_connection);
  set(policy.consecutive_connection_failures_before_delay,
      consecutive_connection_failures_before_delay);
  set(policy.idle_timeout, idle_timeout);
  set(policy.timeouts.connect, connect_timeout);
  set(policy.timeouts.banner, banner_timeout);
  set(policy.timeouts.ehlo, ehlo_timeout);
  set(policy.timeouts.mail_from, mail_from_timeout);
  set(policy.timeouts.rcpt_to, rcpt_to_timeout);
  set(policy.timeouts.data, data_timeout);
  set(policy.timeouts.data_block, data_block_timeout);
  set(policy.timeouts.data_dot, data_dot_timeout);
  set(policy.timeouts.rset, rset_timeout);
  set(policy.smtp_port, smtp_port);
  set(policy.enable_pipelining, enable_pipelining);
  set(policy.enable_chunking, enable_chunking);
  set(policy.blind_chunking, blind_chunking);
  set(policy.max_in_flight, max_in_flight);
  set(policy.max_recipients_per_batch, max_recipients_per_batch);
  set(policy.on_unknown, on_unknown);
  set(policy.tls, tls);
  set(policy.enable_dane, enable_dane);
  set(policy.enable_mta_sts, enable_mta_sts);
  set(policy.remember_broken_tls, remember_broken_tls);
  set(policy.timeouts.starttls, starttls_timeout);
  set(policy.timeouts.tls_handshake, tls_handshake_timeout);
}

TlsPolicy strictest(TlsPolicy a, TlsPolicy b) {
  if (a > b) std::swap(a, b);
  // Neither of these two asks for all that the other does.
  const bool apart = a == TlsPolicy::kVerifiedIfOffered && b == TlsPolicy::kRequired;
  return apart ? TlsPolicy::kVerified : b;
}

const char* name_of(TlsPolicy policy) {
  switch (policy) {
    case TlsPolicy::kNone:
      return "none";
    case TlsPolicy::kOpportunistic:
      return "opportunistic";
    case TlsPolicy::kVerifiedIfOffered:
      return "verified-if-offered";
    case TlsPolicy::kRequired:
      return "required";
    case TlsPolicy::kVerified:
      return "verified";
  }
  return "";
}

const char* name_of(BlindChunking blind) {
  switch (blind) {
    case BlindChunking::kOff:
      return "off";
    case BlindChunking::kEarned:
      return "earned";
    case BlindChunking::kTrusted:
      return "trusted";
  }
  return "";
}

const char* name_of(OnUnknown on_unknown) {
  return on_unknown == OnUnknown::kRetry ? "retry" : "delivered";
}

std::string to_string(const Rate& rate) {
  using namespace std::chrono;
  struct Unit {
    Duration length;
    const char* name;
  };
  static constexpr Unit kUnits[] = {
      {seconds(1), "s"}, {minutes(1), "min"}, {hours(1), "h"}, {days(1), "d"}};
  for (const Unit& unit : kUnits) {
    if (rate.period == unit.length) return std::to_string(rate.amount) + "/" + unit.name;
  }
  return std::to_string(rate.amount) + "/" +
         std::to_string(duration_cast<seconds>(rate.period).count()) + "s";
}

}  // namespace sluice
