#include "engine/record/tls_report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/base/crc32c.h"

namespace sluice {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr int64_t kVersion = 1;

OrderedJson policy_of(const TlsPolicyCounts& counts, const std::string& domain) {
  OrderedJson policy;
  policy["policy-type"] = name_of(counts.applied.type);
  if (!counts.applied.strings.empty()) policy["policy-string"] = counts.applied.strings;
  policy["policy-domain"] = domain;
  if (!counts.applied.mx.empty()) policy["mx-host"] = counts.applied.mx;
  return policy;
}

OrderedJson details_of(const TlsPolicyCounts& counts) {
  OrderedJson list = OrderedJson::array();
  for (const auto& [failed, count] : counts.failures) {
    OrderedJson detail;
    detail["result-type"] = failed.result;
    const std::pair<const char*, const std::string*> texts[] = {
        {"sending-mta-ip", &failed.sending_address},
        {"receiving-mx-hostname", &failed.exchanger},
        {"receiving-ip", &failed.receiving_address}};
    for (const auto& [key, text] : texts) {
      if (!text->empty()) detail[key] = *text;
    }
    detail["failed-session-count"] = count;
    if (!failed.reason.empty()) detail["failure-reason-code"] = failed.reason;
    list.push_back(std::move(detail));
  }
  return list;
}

OrderedJson policies_of(const TlsDomainResults& results) {
  OrderedJson list = OrderedJson::array();
  for (const TlsPolicyCounts& counts : results.policies) {
    OrderedJson item;
    item["policy"] = policy_of(counts, results.domain);
    item["summary"]["total-successful-session-count"] = counts.passed;
    item["summary"]["total-failure-session-count"] = counts.failed;
    if (!counts.failures.empty()) item["failure-details"] = details_of(counts);
    list.push_back(std::move(item));
  }
  return list;
}

// What is not UTF-8 (of a configuration, say) becomes U+FFFD instead of an exception.
std::string text_of(const OrderedJson& json, int indent) {
  return json.dump(indent, ' ', false, OrderedJson::error_handler_t::replace);
}

const Json* field(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at == object.end() ? nullptr : &*at;
}

std::optional<uint64_t> count_of(const Json& object, const char* key) {
  const Json* const value = field(object, key);
  if (value == nullptr || !value->is_number_unsigned()) return std::nullopt;
  return value->get<uint64_t>();
}

// False when it is there and is no text.
bool read_text(const Json& object, const char* key, std::string& out) {
  const Json* const value = field(object, key);
  if (value == nullptr) return true;
  if (!value->is_string()) return false;
  out = value->get<std::string>();
  return true;
}

bool read_texts(const Json& object, const char* key, std::vector<std::string>& out) {
  const Json* const list = field(object, key);
  if (list == nullptr) return true;
  if (!list->is_array()) return false;
  for (const Json& item : *list) {
    if (!item.is_string()) return false;
    out.push_back(item.get<std::string>());
  }
  return true;
}

bool read_policy(const Json& object, TlsApplied& out) {
  std::string type;
  if (!object.is_object() || !read_text(object, "policy-type", type)) return false;
  if (!read_texts(object, "policy-string", out.strings)) return false;
  if (!read_texts(object, "mx-host", out.mx)) return false;
  for (const TlsPolicyType known :
       {TlsPolicyType::kNoPolicyFound, TlsPolicyType::kTlsa, TlsPolicyType::kSts}) {
    if (type != name_of(known)) continue;
    out.type = known;
    return true;
  }
  return false;
}

bool read_detail(const Json& object, TlsPolicyCounts& out) {
  if (!object.is_object()) return false;
  TlsFailed failed;
  const std::optional<uint64_t> count = count_of(object, "failed-session-count");
  const bool good = count && read_text(object, "result-type", failed.result) &&
                    read_text(object, "sending-mta-ip", failed.sending_address) &&
                    read_text(object, "receiving-mx-hostname", failed.exchanger) &&
                    read_text(object, "receiving-ip", failed.receiving_address) &&
                    read_text(object, "failure-reason-code", failed.reason);
  if (!good || failed.result.empty()) return false;
  out.failures[failed] += *count;
  return true;
}

bool read_counts(const Json& object, TlsPolicyCounts& out) {
  if (!object.is_object()) return false;
  const Json* const policy = field(object, "policy");
  const Json* const summary = field(object, "summary");
  if (policy == nullptr || summary == nullptr || !summary->is_object()) return false;
  const std::optional<uint64_t> passed = count_of(*summary, "total-successful-session-count");
  const std::optional<uint64_t> failed = count_of(*summary, "total-failure-session-count");
  if (!passed || !failed || !read_policy(*policy, out.applied)) return false;
  out.passed = *passed;
  out.failed = *failed;
  const Json* const details = field(object, "failure-details");
  if (details == nullptr) return true;
  return details->is_array() && std::all_of(details->begin(), details->end(),
                                            [&](const Json& d) { return read_detail(d, out); });
}

std::optional<std::vector<TlsPolicyCounts>> counts_of(const Json& list) {
  if (!list.is_array()) return std::nullopt;
  std::vector<TlsPolicyCounts> out;
  for (const Json& item : list) {
    if (!read_counts(item, out.emplace_back())) return std::nullopt;
  }
  return out;
}

std::optional<TlsDomainResults> results_of(const Json& object) {
  if (!object.is_object()) return std::nullopt;
  std::string day;
  TlsDomainResults results;
  if (!read_text(object, "day", day) || !read_text(object, "domain", results.domain)) {
    return std::nullopt;
  }
  const std::optional<TlsDay> parsed = parse_tls_day(day);
  const Json* const list = field(object, "policies");
  if (!parsed || results.domain.empty() || list == nullptr) return std::nullopt;
  std::optional<std::vector<TlsPolicyCounts>> policies = counts_of(*list);
  if (!policies) return std::nullopt;
  results.day = *parsed;
  results.policies = std::move(*policies);
  return results;
}

// The part of the id that the submitter's name does not say.
std::string unique_part(const TlsDomainResults& results) {
  char text[64];
  std::snprintf(text, sizeof text, "%s.%08x", to_string_of_day(results.day).c_str(),
                crc32c(results.domain));
  return text;
}

}  // namespace

std::string tls_report_id(const TlsDomainResults& results, const TlsReporter& reporter) {
  return unique_part(results) + "@" + reporter.submitter;
}

std::string tls_report_json(const TlsDomainResults& results, const TlsReporter& reporter) {
  const std::string date = to_string_of_day(results.day);
  OrderedJson report;
  report["organization-name"] = reporter.organization;
  report["date-range"]["start-datetime"] = date + "T00:00:00Z";
  report["date-range"]["end-datetime"] = date + "T23:59:59Z";
  report["contact-info"] = reporter.contact;
  report["report-id"] = tls_report_id(results, reporter);
  report["policies"] = policies_of(results);
  return text_of(report, 1) + "\n";
}

std::string tls_report_file_name(const TlsDomainResults& results, const TlsReporter& reporter) {
  const int64_t begin = results.day * kSecondsOfDay;
  return reporter.submitter + "!" + results.domain + "!" + std::to_string(begin) + "!" +
         std::to_string(begin + kSecondsOfDay - 1) + "!" + unique_part(results) + ".json.gz";
}

std::string tls_policies_json(const TlsDomainResults& results) {
  return text_of(policies_of(results), -1);
}

std::optional<std::vector<TlsPolicyCounts>> parse_tls_policies(std::string_view json) {
  return counts_of(Json::parse(json, nullptr, /*allow_exceptions=*/false));
}

StatusOr<TlsResultsFile> parse_tls_results(std::string_view text) {
  const Json whole = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!whole.is_object()) return io_error("it is no JSON object; the file is damaged");
  const Json* const version = field(whole, "version");
  if (version == nullptr || *version != kVersion) {
    return io_error("it is not of version " + std::to_string(kVersion));
  }
  const Json* const list = field(whole, "results");
  if (list == nullptr || !list->is_array()) {
    return io_error("it has no list of results; the file is damaged");
  }
  TlsResultsFile file;
  for (const Json& object : *list) {
    if (std::optional<TlsDomainResults> results = results_of(object)) {
      file.results.push_back(std::move(*results));
    } else {
      ++file.left_out;
    }
  }
  return file;
}

}  // namespace sluice
