#include "engine/record/tls_results.h"

#include <algorithm>
#include <cstdio>

#include "engine/base/strings.h"
#include "engine/record/tls_report.h"

namespace sluice {
namespace {

constexpr size_t kDomainBytesMax = 253;

bool is_domain(std::string_view name) {
  return !name.empty() && name.size() <= kDomainBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_' || c == '.';
         });
}

// Octets that a file or a log would have to escape become "?"; cut.
std::string printable(std::string_view text, size_t most) {
  std::string out(text.substr(0, most));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

}  // namespace

TlsDay tls_day_of(WallTime time) {
  return std::chrono::floor<std::chrono::days>(time.time_since_epoch()).count();
}

WallTime begin_of(TlsDay day) { return from_unix_seconds(day * kSecondsOfDay); }

std::string to_string_of_day(TlsDay day) {
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day))};
  char text[32];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return text;
}

std::optional<TlsDay> parse_tls_day(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const std::optional<uint64_t> year = parse_decimal(text.substr(0, 4));
  const std::optional<uint64_t> month = parse_decimal(text.substr(5, 2));
  const std::optional<uint64_t> day = parse_decimal(text.substr(8, 2));
  if (!year || !month || !day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  // Where nanoseconds since 1970 do not overflow.
  if (!date.ok() || *year < 1970 || *year > 2200) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count();
}

const char* name_of(TlsPolicyType type) {
  switch (type) {
    case TlsPolicyType::kNoPolicyFound:
      return "no-policy-found";
    case TlsPolicyType::kTlsa:
      return "tlsa";
    case TlsPolicyType::kSts:
      return "sts";
  }
  return "";
}

TlsApplied TlsResults::bounded(const TlsApplied& applied) const {
  TlsApplied out = applied;
  for (std::vector<std::string>* texts : {&out.strings, &out.mx}) {
    if (texts->size() > limits_.strings_max) texts->resize(limits_.strings_max);
    for (std::string& text : *texts) text = printable(text, limits_.text_bytes_max);
  }
  return out;
}

// Null where there is no room.
TlsPolicyCounts* TlsResults::counts_of(TlsDay day, const std::string& domain,
                                       const TlsApplied& applied) {
  const std::pair<TlsDay, std::string> key(day, domain);
  auto found = domains_.find(key);
  if (found == domains_.end()) {
    if (domains_.size() >= limits_.domains_max) return nullptr;
    TlsDomainResults fresh;
    fresh.day = day;
    fresh.domain = domain;
    found = domains_.emplace(key, std::move(fresh)).first;
  }
  std::vector<TlsPolicyCounts>& policies = found->second.policies;
  const TlsApplied wanted = bounded(applied);
  const auto known = std::find_if(policies.begin(), policies.end(),
                                  [&](const auto& counts) { return counts.applied == wanted; });
  if (known != policies.end()) return &*known;
  if (policies.size() >= limits_.policies_max) return nullptr;
  policies.emplace_back().applied = wanted;
  return &policies.back();
}

void TlsResults::add_failure(const TlsFailed& failed, uint64_t count,
                             TlsPolicyCounts& counts) const {
  TlsFailed kind = failed;
  for (std::string* text : {&kind.result, &kind.sending_address, &kind.exchanger,
                            &kind.receiving_address, &kind.reason}) {
    *text = printable(*text, limits_.text_bytes_max);
  }
  const auto known = counts.failures.find(kind);
  if (known != counts.failures.end()) {
    known->second += count;
  } else if (counts.failures.size() < limits_.failures_max) {
    counts.failures.emplace(std::move(kind), count);
  }
}

void TlsResults::add(TlsDay day, const TlsResult& result) {
  if (!is_domain(result.domain)) return;
  TlsPolicyCounts* const counts = counts_of(day, result.domain, result.applied);
  if (counts == nullptr) {
    ++left_out_;
    return;
  }
  ++version_;
  if (!result.failed) {
    ++counts->passed;
    return;
  }
  ++counts->failed;
  add_failure(*result.failed, 1, *counts);
}

void TlsResults::add(const TlsDomainResults& results) {
  if (!is_domain(results.domain)) return;
  for (const TlsPolicyCounts& more : results.policies) {
    TlsPolicyCounts* const counts = counts_of(results.day, results.domain, more.applied);
    if (counts == nullptr) {
      left_out_ += more.passed + more.failed;
      continue;
    }
    ++version_;
    counts->passed += more.passed;
    counts->failed += more.failed;
    for (const auto& [failed, count] : more.failures) add_failure(failed, count, *counts);
  }
}

std::vector<std::pair<TlsDay, std::string>> TlsResults::ended(TlsDay today) const {
  std::vector<std::pair<TlsDay, std::string>> out;
  for (const auto& [key, results] : domains_) {
    if (key.first >= today) break;
    out.push_back(key);
  }
  return out;
}

const TlsDomainResults* TlsResults::find(TlsDay day, const std::string& domain) const {
  const auto found = domains_.find({day, domain});
  return found == domains_.end() ? nullptr : &found->second;
}

void TlsResults::remove(TlsDay day, const std::string& domain) {
  if (domains_.erase({day, domain}) > 0) ++version_;
}

std::string TlsResults::file_text() const {
  std::string text = R"({"version":1,"results":[)";
  const char* separator = "\n";
  for (const auto& [key, results] : domains_) {
    text += std::exchange(separator, ",\n");
    text += R"({"day":")" + to_string_of_day(results.day) + R"(","domain":")" + results.domain +
            R"(","policies":)" + tls_policies_json(results) + "}";
  }
  return text + "\n]}\n";
}

}  // namespace sluice
