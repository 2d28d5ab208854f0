#include "tools/cmd/bench_events.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/base/strings.h"
#include "tools/cmd/event_reader.h"

namespace sluice::tools {
namespace {

constexpr int64_t kDay = 86'400'000'000;

// Microseconds since midnight of a member such as "event_time":"2026-11-22T10:00:07.104233Z".
std::optional<int64_t> time_of(std::string_view line, std::string_view member) {
  const size_t at = line.find(member);
  if (at == std::string_view::npos || line.size() < at + member.size() + 26) return std::nullopt;
  const std::string_view clock = line.substr(at + member.size() + 11, 15);
  const auto hours = parse_decimal(clock.substr(0, 2));
  const auto minutes = parse_decimal(clock.substr(3, 2));
  const auto seconds = parse_decimal(clock.substr(6, 2));
  const auto rest = parse_decimal(clock.substr(9, 6));
  if (!hours || !minutes || !seconds || !rest) return std::nullopt;
  return static_cast<int64_t>(((*hours * 60 + *minutes) * 60 + *seconds) * 1'000'000 + *rest);
}

// Nothing of a line that is no delivery.
std::optional<uint32_t> latency_of(std::string_view line) {
  if (line.find("\"type\":\"Delivery\"") == std::string_view::npos) return std::nullopt;
  const auto answered = time_of(line, "\"event_time\":\"");
  const auto taken = time_of(line, "\"created_time\":\"");
  if (!answered || !taken) return std::nullopt;
  const int64_t took = (*answered - *taken + kDay) % kDay;
  return static_cast<uint32_t>(std::min<int64_t>(took, UINT32_MAX));
}

double percentile(std::vector<uint32_t>& sorted, double share) {
  const auto index = static_cast<size_t>(static_cast<double>(sorted.size() - 1) * share);
  return sorted[index] / 1e3;
}

}  // namespace

StatusOr<BenchLatency> read_latency(const std::string& directory) {
  std::vector<uint32_t> microseconds;
  EventReader reader(directory);
  RETURN_IF_ERROR(reader.look());
  std::string_view line;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, reader.next(line));
    if (!more) break;
    if (const auto took = latency_of(line)) microseconds.push_back(*took);
  }
  if (microseconds.empty()) return missing("there are no deliveries in " + directory);
  std::sort(microseconds.begin(), microseconds.end());
  return BenchLatency{microseconds.size(), percentile(microseconds, 0.5),
                      percentile(microseconds, 0.99)};
}

}  // namespace sluice::tools
