#include "engine/config/kumo_keys.h"

namespace sluice::config {

const std::vector<std::string_view>& unbuilt_shaping_keys() {
  static const std::vector<std::string_view> keys = {
      "additional_connection_limits",
      "additional_message_rate_throttles",
      "additional_source_selection_rates",
      "aggressive_connection_opening",
      "allow_smtp_auth_plain_without_tls",
      "allow_smtp_auth_plain_without_valid_certificate",
      "auth_timeout",
      "dispatcher_progress_watchdog_timeout",
      "dispatcher_wakeup_strategy",
      "ehlo_domain",
      "enable_rset",
      "ignore_8bit_checks",
      "ip_lookup_strategy",
      "low_memory_reduction_policy",
      "maintainer_wakeup_strategy",
      "max_mx_addresses_per_host",
      "max_mx_plan_size",
      "max_ready",
      "no_memory_reduction_policy",
      "openssl_cipher_list",
      "openssl_cipher_suites",
      "openssl_options",
      "opportunistic_tls_reconnect_on_failed_handshake",
      "prohibited_hosts",
      "provider_name",
      "provider_source_selection_rate",
      "reconnect_strategy",
      "refresh_interval",
      "refresh_strategy",
      "rustls_cipher_suites",
      "skip_hosts",
      "smtp_auth_plain_password",
      "smtp_auth_plain_username",
      "source_selection_rate",
      "suspended",
      "system_shutdown_timeout",
      "tls_certificate",
      "tls_prefer_openssl",
      "tls_private_key",
      "try_next_host_on_transport_error",
      "use_lmtp",
  };
  return keys;
}

}  // namespace sluice::config
