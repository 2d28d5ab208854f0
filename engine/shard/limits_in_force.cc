#include "engine/shard/limits_in_force.h"

#include <algorithm>
#include <utility>

#include "engine/config/quantity.h"

namespace sluice {
namespace {

std::string words(uint64_t value) { return std::to_string(value); }
std::string words(Duration value) { return duration_to_string(value); }
std::string words(bool value) { return value ? "true" : "false"; }
std::string words(const std::optional<uint32_t>& value) {
  return value ? std::to_string(*value) : "none";
}
std::string words(const std::optional<Rate>& rate) {
  if (!rate) return "none";
  return to_string(*rate) + (rate->burst > 1 ? ", max_burst " + words(rate->burst) : "");
}

using Pairs = std::vector<std::pair<const char*, std::string>>;

Pairs values_of(const SitePolicy& policy, const Configuration& config) {
  const SmtpTimeouts& timeouts = policy.timeouts;
  return {
      {"connection_limit", words(uint64_t{policy.connection_limit})},
      {"max_connection_rate", words(policy.max_connection_rate)},
      {"max_message_rate", words(policy.max_message_rate)},
      {"max_deliveries_per_connection", words(uint64_t{policy.max_deliveries_per_connection})},
      {"consecutive_connection_failures_before_delay",
       words(uint64_t{policy.consecutive_connection_failures_before_delay})},
      {"max_in_flight", words(uint64_t{policy.max_in_flight})},
      {"max_recipients_per_batch", words(uint64_t{policy.max_recipients_per_batch})},
      {"enable_chunking", words(policy.enable_chunking)},
      {"blind_chunking", name_of(policy.blind_chunking)},
      {"on_unknown", name_of(policy.on_unknown)},
      {"enable_pipelining", words(policy.enable_pipelining)},
      {"smtp_port", words(uint64_t{policy.smtp_port.value_or(config.smtp.port)})},
      {"idle_timeout", words(policy.idle_timeout)},
      {"connect_timeout", words(timeouts.connect)},
      {"banner_timeout", words(timeouts.banner)},
      {"ehlo_timeout", words(timeouts.ehlo)},
      {"mail_from_timeout", words(timeouts.mail_from)},
      {"rcpt_to_timeout", words(timeouts.rcpt_to)},
      {"data_timeout", words(timeouts.data)},
      {"data_block_timeout", words(timeouts.data_block)},
      {"data_dot_timeout", words(timeouts.data_dot)},
      {"rset_timeout", words(timeouts.rset)},
      {"enable_tls", name_of(policy.tls.value_or(config.tls.policy))},
      {"enable_dane", words(policy.enable_dane.value_or(config.tls.dane))},
      {"enable_mta_sts", words(policy.enable_mta_sts.value_or(config.tls.mta_sts))},
      {"remember_broken_tls", words(policy.remember_broken_tls)},
      {"starttls_timeout", words(timeouts.starttls)},
      {"tls_handshake_timeout", words(timeouts.tls_handshake)},
  };
}

}  // namespace

std::string LimitInForce::from() const {
  return file.empty() ? "default" : file + ":" + std::to_string(line);
}

std::vector<LimitInForce> limits_in_force(const Shaped& shaped, const Configuration& config) {
  Pairs values = values_of(shaped.policy, config);
  if (!shaped.provider.empty()) {
    values.insert(values.begin(),
                  {{"provider_connection_limit", words(shaped.provider_connection_limit)},
                   {"provider_max_message_rate", words(shaped.provider_max_message_rate)}});
  }
  std::vector<LimitInForce> out;
  for (auto& [key, value] : values) {
    LimitInForce limit{.key = key, .value = std::move(value), .file = {}, .table = {}};
    if (const Origin* origin = shaped.origins.find(key)) {
      limit.file = origin->file;
      limit.line = origin->line;
      limit.table = origin->table;
    }
    out.push_back(std::move(limit));
  }
  for (const Origin& origin : shaped.origins) {
    if (origin.built) continue;
    out.push_back({origin.key, origin.value, origin.file, origin.line, origin.table, false});
  }
  return out;
}

std::vector<SourceLimits> limits_of_sources(const Shaping& shaping, std::string_view domain,
                                            const Route& route, const Configuration& config) {
  std::vector<SourceLimits> out;
  for (const Source& source : config.sources) {
    const Shaped shaped = shaping.shape(route.site, domain, route.exchangers, source.name);
    out.push_back({source.name, shaped.provider, limits_in_force(shaped, config)});
  }
  return out;
}

}  // namespace sluice
