#include "engine/record/limits_file.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "engine/base/crc32c.h"
#include "engine/record/json_text.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

constexpr int64_t kVersion = 1;
constexpr std::string_view kMark = ",\"crc32c\":";

const char* name_of(LimitKind kind) {
  return kind == LimitKind::kMessages ? "messages" : "connections";
}

std::string nanoseconds(WallTime time) { return std::to_string(time.time_since_epoch().count()); }

Status damaged(const std::string& what) { return io_error(what + "; the file is damaged"); }

const Json* field(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at == object.end() ? nullptr : &*at;
}

std::optional<WallTime> time_of(const Json* value) {
  if (value == nullptr || !value->is_number_unsigned()) return std::nullopt;
  const auto count = value->get<uint64_t>();
  if (count > INT64_MAX) return std::nullopt;
  return WallTime(Duration(static_cast<int64_t>(count)));
}

std::optional<SavedLimit> limit_of(const Json& object) {
  if (!object.is_object()) return std::nullopt;
  const Json* const key = field(object, "key");
  const Json* const rate = field(object, "rate");
  const std::optional<WallTime> arrival = time_of(field(object, "arrival"));
  if (key == nullptr || !key->is_string() || rate == nullptr || !arrival) return std::nullopt;
  for (const LimitKind kind : {LimitKind::kMessages, LimitKind::kConnections}) {
    if (*rate == name_of(kind)) return SavedLimit{key->get<std::string>(), kind, *arrival};
  }
  return std::nullopt;
}

// Whether the text ends with the checksum of what stands before it.
bool is_whole(std::string_view text, const Json& object) {
  const size_t end = text.rfind(kMark);
  const Json* const sum = field(object, "crc32c");
  return end != std::string_view::npos && sum != nullptr && sum->is_number_unsigned() &&
         sum->get<uint64_t>() == crc32c(text.substr(0, end));
}

}  // namespace

std::string limits_text(const LimitsFile& file) {
  std::string text =
      "{\"version\":" + std::to_string(kVersion) + ",\"clean\":" + (file.clean ? "true" : "false") +
      ",\"drained\":" + (file.saved.drained ? nanoseconds(*file.saved.drained) : "null") +
      ",\"limits\":[";
  const char* separator = "\n";
  for (const SavedLimit& limit : file.saved.limits) {
    text += separator;
    separator = ",\n";
    text += "{\"key\":";
    append_json_text(text, limit.key);
    text += std::string(",\"rate\":\"") + name_of(limit.kind) +
            "\",\"arrival\":" + nanoseconds(limit.arrival) + "}";
  }
  text += "\n]";
  const uint32_t sum = crc32c(text);
  return text + std::string(kMark) + std::to_string(sum) + "}\n";
}

StatusOr<LimitsFile> parse_limits(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return damaged("it is no JSON object");
  const Json* const version = field(json, "version");
  if (version == nullptr || *version != kVersion) {
    return io_error("it is of another version; this program reads version " +
                    std::to_string(kVersion));
  }
  if (!is_whole(text, json)) return damaged("its checksum is not that of its content");
  const Json* const clean = field(json, "clean");
  const Json* const drained = field(json, "drained");
  const Json* const limits = field(json, "limits");
  if (clean == nullptr || !clean->is_boolean()) return damaged("\"clean\" is not true or false");
  if (limits == nullptr || !limits->is_array()) return damaged("\"limits\" is not a list");
  LimitsFile file;
  file.clean = clean->get<bool>();
  file.saved.drained = time_of(drained);
  if (!file.saved.drained && (drained == nullptr || !drained->is_null())) {
    return damaged("\"drained\" is not a time");
  }
  file.saved.limits.reserve(limits->size());
  for (const Json& each : *limits) {
    std::optional<SavedLimit> limit = limit_of(each);
    if (!limit) {
      return damaged("limit " + std::to_string(file.saved.limits.size() + 1) +
                     " lacks a key, a known rate or a time");
    }
    file.saved.limits.push_back(std::move(*limit));
  }
  return file;
}

LimitsFound judge_limits(const StatusOr<std::string>& text, bool ran_before) {
  LimitsFound found;
  const std::string consequence = ": the limits begin drained, as after a crash";
  if (absl::IsNotFound(text.status())) {
    if (ran_before) {
      found.warning = "the file is missing" + consequence;
    } else {
      found.start = LimitsStart::kFresh;
    }
    return found;
  }
  if (!text.ok()) {
    found.warning = message_of(text.status()) + consequence;
    return found;
  }
  StatusOr<LimitsFile> file = parse_limits(*text);
  if (!file.ok()) {
    found.warning = message_of(file.status()) + consequence;
  } else if (file->clean) {
    found.start = LimitsStart::kClean;
    found.saved = std::move(file->saved);
  }
  return found;
}

}  // namespace sluice
