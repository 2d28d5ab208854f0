// What holds mail back: of a lane, a site, a job.
//
// Plain values; any thread. The names are those of the admin API's "reason" and stay as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/model/shaping.h"

namespace sluice {

enum class Bottleneck : uint8_t {
  kNone,         // nothing waits
  kMessageRate,  // limits, told with where they were set
  kProviderMessageRate,
  kJobRate,
  kConnectionLimit,
  kProviderConnectionLimit,
  kConnectionRate,
  kMaxConnections,  // of the process
  kReplies,         // connections are at work: their receivers' replies are what is waited for
  kBackOff,         // the site cannot be reached
  kRefused,         // the receiver refuses the source: a pause
  kPaused,          // by the operator
  kDisk,            // the journal takes no more, or rows are being read
  kCpu,
  kDns,
  kList,       // the job's list is still being read
  kScheduled,  // its start lies ahead
  kRetry,      // only deferred recipients are left, until they are due
};
inline constexpr size_t kBottlenecks = static_cast<size_t>(Bottleneck::kRetry) + 1;

// "message_rate", "replies", ...: a literal.
const char* name_of(Bottleneck why);
std::optional<Bottleneck> parse_bottleneck(std::string_view name);

// It is a key of a shaping rule, of job.toml or of sluice.toml.
bool is_limit(Bottleneck why);

// "max_message_rate = 10/s"; empty without a key.
std::string limit_text(const Origin& limit);
// "shaping.toml:14"; "job.toml [send]" where no line is known; "default" when nobody set it.
std::string place_text(const Origin& limit);

// For people: "max_message_rate = 10/s (shaping.toml:14)", "receivers' replies". `limit` and
// `place`: what the two above gave; of reasons that are no limits they do not matter.
std::string words_of(Bottleneck why, std::string_view limit, std::string_view place);

}  // namespace sluice
