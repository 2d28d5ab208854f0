#include "engine/resolve/sts_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "engine/resolve/sts_policy.h"
#include "resolver_cache/dns_message.h"

namespace sluice {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr int64_t kVersion = 1;

const Json* field(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at == object.end() ? nullptr : &*at;
}

std::optional<std::string> string_of(const Json& object, const char* key) {
  const Json* const value = field(object, key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return value->get<std::string>();
}

// Far from where nanoseconds overflow.
std::optional<int64_t> seconds_of(const Json& object, const char* key) {
  constexpr uint64_t kSecondsMax = 8'000'000'000;
  const Json* const value = field(object, key);
  if (value == nullptr || !value->is_number_unsigned()) return std::nullopt;
  const auto count = value->get<uint64_t>();
  if (count > kSecondsMax) return std::nullopt;
  return static_cast<int64_t>(count);
}

bool read_patterns(const Json& object, std::vector<std::string>& patterns) {
  const Json* const list = field(object, "mx");
  if (list == nullptr || !list->is_array() || list->size() > kStsPatternsMax) return false;
  for (const Json& item : *list) {
    if (!item.is_string()) return false;
    std::optional<std::string> pattern = sts_pattern_of(item.get<std::string>());
    if (!pattern) return false;
    patterns.push_back(std::move(*pattern));
  }
  return true;
}

std::optional<SavedStsPolicy> policy_of(const Json& object) {
  if (!object.is_object()) return std::nullopt;
  const std::optional<std::string> domain = string_of(object, "domain");
  const std::optional<std::string> mode = string_of(object, "mode");
  const std::optional<std::string> id = string_of(object, "id");
  const std::optional<int64_t> fetched = seconds_of(object, "fetched");
  const std::optional<int64_t> max_age = seconds_of(object, "max_age");
  if (!domain || !mode || !id || !fetched || !max_age || !is_sts_id(*id)) return std::nullopt;
  if (domain->empty() || resolver_cache::canonical_name(*domain) != *domain) return std::nullopt;
  const std::optional<StsMode> known = parse_sts_mode(*mode);
  SavedStsPolicy saved;
  if (!known || !read_patterns(object, saved.policy.mx)) return std::nullopt;
  if (saved.policy.mx.empty() && *known != StsMode::kNone) return std::nullopt;
  saved.domain = *domain;
  saved.policy.mode = *known;
  saved.policy.id = *id;
  saved.policy.max_age = std::min(Duration(std::chrono::seconds(*max_age)), kStsMaxAge);
  saved.policy.fetched = from_unix_seconds(*fetched);
  saved.policy.expires = saved.policy.fetched + saved.policy.max_age;
  return saved;
}

}  // namespace

std::string sts_file_text(const std::vector<SavedStsPolicy>& policies) {
  std::string text = R"({"version":)" + std::to_string(kVersion) + R"(,"policies":[)";
  const char* separator = "\n";
  for (const SavedStsPolicy& saved : policies) {
    OrderedJson line;
    line["domain"] = saved.domain;
    line["mode"] = name_of(saved.policy.mode);
    line["mx"] = saved.policy.mx;
    line["id"] = saved.policy.id;
    line["fetched"] = unix_seconds(saved.policy.fetched);
    line["max_age"] = std::chrono::floor<std::chrono::seconds>(saved.policy.max_age).count();
    text += std::exchange(separator, ",\n") + line.dump();
  }
  return text + "\n]}\n";
}

StatusOr<StsFile> parse_sts_file(std::string_view text) {
  const Json whole = Json::parse(text, nullptr, false);
  if (!whole.is_object()) return io_error("it is no JSON object; the file is damaged");
  const Json* const version = field(whole, "version");
  if (version == nullptr || *version != kVersion) {
    return io_error("it is not of version " + std::to_string(kVersion));
  }
  const Json* const list = field(whole, "policies");
  if (list == nullptr || !list->is_array()) {
    return io_error("it has no list of policies; the file is damaged");
  }
  StsFile file;
  for (const Json& object : *list) {
    if (std::optional<SavedStsPolicy> saved = policy_of(object)) {
      file.policies.push_back(std::move(*saved));
    } else {
      ++file.left_out;
    }
  }
  return file;
}

}  // namespace sluice
