#include "engine/model/bottleneck.h"

#include <array>

namespace sluice {
namespace {

struct Names {
  const char* name;
  const char* words;  // of limits: when nobody says which key it is
  bool is_limit;
};

constexpr std::array<Names, kBottlenecks> kNames = {{
    {"none", "nothing", false},
    {"message_rate", "the site's message rate", true},
    {"provider_message_rate", "the provider's message rate", true},
    {"job_rate", "the job's own rate", true},
    {"connection_limit", "the site's connection limit", true},
    {"provider_connection_limit", "the provider's connection limit", true},
    {"connection_rate", "the site's connection rate", true},
    {"max_connections", "the connections of the process", true},
    {"replies", "receivers' replies", false},
    {"back_off", "the site cannot be reached", false},
    {"refused", "the receiver refuses the source", false},
    {"paused", "paused by the operator", false},
    {"disk", "the disk", false},
    {"cpu", "the CPU", false},
    {"dns", "DNS", false},
    {"list", "its list is still being read", false},
    {"scheduled", "its start lies ahead", false},
    {"retry", "deferred recipients that are not due yet", false},
}};

const Names& names_of(Bottleneck why) { return kNames.at(static_cast<size_t>(why)); }

}  // namespace

const char* name_of(Bottleneck why) { return names_of(why).name; }

std::optional<Bottleneck> parse_bottleneck(std::string_view name) {
  for (size_t i = 0; i < kBottlenecks; ++i) {
    if (name == kNames[i].name) return static_cast<Bottleneck>(i);
  }
  return std::nullopt;
}

bool is_limit(Bottleneck why) { return names_of(why).is_limit; }

std::string limit_text(const Origin& limit) {
  return limit.key.empty() ? std::string() : limit.key + " = " + limit.value;
}

std::string place_text(const Origin& limit) {
  if (limit.file.empty()) return "default";
  if (limit.line > 0) return limit.file + ":" + std::to_string(limit.line);
  return limit.table.empty() ? limit.file : limit.file + " " + limit.table;
}

std::string words_of(Bottleneck why, std::string_view limit, std::string_view place) {
  if (!is_limit(why) || limit.empty()) return names_of(why).words;
  return std::string(limit) + " (" + std::string(place) + ")";
}

}  // namespace sluice
