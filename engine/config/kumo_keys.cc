#include "engine/config/kumo_keys.h"

namespace sluice::config {

const std::vector<std::string_view>& built_shaping_keys() {
  static const std::vector<std::string_view> kKeys = {
      "banner_timeout",      "connect_timeout",
      "connection_limit",    "consecutive_connection_failures_before_delay",
      "data_block_timeout",  // ours
      "data_dot_timeout",    "data_timeout",
      "ehlo_timeout",        "enable_pipelining",
      "idle_timeout",        "mail_from_timeout",
      "max_connection_rate", "max_deliveries_per_connection",
      "max_in_flight",  // ours
      "max_message_rate",    "mx_rollup",
      "rcpt_to_timeout",     "rset_timeout",
      "smtp_port",
  };
  return kKeys;
}

const std::vector<std::string_view>& unbuilt_shaping_keys() {
  static const std::vector<std::string_view> kKeys = {
      "additional_connection_limits",
      "additional_message_rate_throttles",
      "additional_source_selection_rates",
      "aggressive_connection_opening",
      "allow_smtp_auth_plain_without_tls",
      "allow_smtp_auth_plain_without_valid_certificate",
      "auth_timeout",
      "automation",
      "dispatcher_progress_watchdog_timeout",
      "dispatcher_wakeup_strategy",
      "ehlo_domain",
      "enable_chunking",  // ours
      "enable_dane",
      "enable_mta_sts",
      "enable_rset",
      "enable_tls",
      "ignore_8bit_checks",
      "ip_lookup_strategy",
      "low_memory_reduction_policy",
      "maintainer_wakeup_strategy",
      "max_mx_addresses_per_host",
      "max_mx_plan_size",
      "max_ready",
      "max_recipients_per_batch",
      "no_memory_reduction_policy",
      "openssl_cipher_list",
      "openssl_cipher_suites",
      "openssl_options",
      "opportunistic_tls_reconnect_on_failed_handshake",
      "prohibited_hosts",
      "provider_name",
      "reconnect_strategy",
      "refresh_interval",
      "refresh_strategy",
      "remember_broken_tls",
      "replace_base",
      "rustls_cipher_suites",
      "skip_hosts",
      "smtp_auth_plain_password",
      "smtp_auth_plain_username",
      "source_selection_rate",
      "sources",
      "starttls_timeout",
      "suspended",
      "system_shutdown_timeout",
      "tls_certificate",
      "tls_handshake_timeout",
      "tls_prefer_openssl",
      "tls_private_key",
      "try_next_host_on_transport_error",
      "use_lmtp",
  };
  return kKeys;
}

const std::vector<std::string_view>& provider_keys() {
  static const std::vector<std::string_view> kKeys = {
      "match",
      "provider_connection_limit",
      "provider_max_message_rate",
      "provider_source_selection_rate",
  };
  return kKeys;
}

const std::vector<std::string_view>& automation_keys() {
  static const std::vector<std::string_view> kKeys = {
      "action", "duration", "match_internal", "regex", "trigger",
  };
  return kKeys;
}

}  // namespace sluice::config
