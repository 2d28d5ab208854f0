// The words of sluice.toml and job.toml for the enumerations of model.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "engine/base/log.h"
#include "engine/model/configuration.h"
#include "engine/model/policy.h"

namespace sluice::config {

template <typename E>
using Word = std::pair<std::string_view, E>;

inline constexpr Word<AddressFamily> kAddressFamilies[] = {
    {"any", AddressFamily::kAny},
    {"ipv4", AddressFamily::kIpv4},
    {"ipv6", AddressFamily::kIpv6},
    {"prefer-ipv4", AddressFamily::kPreferIpv4},
    {"prefer-ipv6", AddressFamily::kPreferIpv6}};

inline constexpr Word<LogLevel> kLogLevels[] = {{"debug", LogLevel::kDebug},
                                                {"info", LogLevel::kInfo},
                                                {"warning", LogLevel::kWarning},
                                                {"error", LogLevel::kError}};

inline constexpr Word<TlsPolicy> kTlsPolicies[] = {
    {"none", TlsPolicy::kNone},
    {"opportunistic", TlsPolicy::kOpportunistic},
    {"verified-if-offered", TlsPolicy::kVerifiedIfOffered},
    {"required", TlsPolicy::kRequired},
    {"verified", TlsPolicy::kVerified}};

// The word for `value`. REQUIRES: the table has it.
template <typename E, size_t N>
std::string_view word_of(const Word<E> (&table)[N], E value) {
  for (const Word<E>& word : table) {
    if (word.second == value) return word.first;
  }
  return {};
}

}  // namespace sluice::config
