#include "tools/cmd/bench_options.h"

#include <sched.h>
#include <sys/stat.h>

#include <cstdlib>

#include "engine/base/strings.h"
#include "tools/sink/options.h"

namespace sluice::tools {
namespace {

constexpr uint64_t kMessagesMax = 100'000'000;
constexpr uint64_t kConnectionsMax = 20'000;
constexpr uint32_t kExchangersMax = 4'000;
constexpr uint32_t kDomainsMax = 1'000'000;
constexpr uint64_t kSizeMin = 1'536;  // headers and two small parts
constexpr uint64_t kSizeMax = 32UL << 20;

Status in_range(std::string_view name, uint64_t value, uint64_t least, uint64_t most) {
  if (value >= least && value <= most) return {};
  return invalid(std::string(name) + " is " + grouped(value) + ", but must be " + grouped(least) +
                 " to " + grouped(most));
}

StatusOr<BenchMode> parse_mode(std::string_view text) {
  for (size_t i = 0; i < kBenchModeNames.size(); ++i) {
    if (kBenchModeNames[i] == text) return static_cast<BenchMode>(i);
  }
  const std::vector<std::string_view> known(kBenchModeNames.begin(), kBenchModeNames.end());
  const std::string_view near = nearest(text, known);
  std::string message = "there is no mode \"" + escaped(text) + "\"; ";
  if (!near.empty()) message += "did you mean \"" + std::string(near) + "\"? ";
  return invalid(message + "The modes are lockstep, data, chunking, blind, earned");
}

// "0,1"; "none" leaves it to the kernel.
Status read_cores(std::string_view text, BenchOptions& options) {
  if (text == "none") return {};
  const std::vector<std::string_view> parts = split(text, ',');
  const auto sender = parse_decimal(parts[0]);
  const auto sink = parts.size() == 2 ? parse_decimal(parts[1]) : std::nullopt;
  if (!sender || !sink) {
    return invalid("--cores \"" + escaped(text) +
                   "\" is not understood; write SENDER,SINK such as 0,1, or none");
  }
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
    return unavailable("cannot ask which cores there are");
  }
  if (CPU_COUNT(&allowed) < 2) {
    options.unpinned_reason = "there is one core only: sender and sink share it, unpinned";
    return {};
  }
  for (const uint64_t core : {*sender, *sink}) {
    if (core >= CPU_SETSIZE || !CPU_ISSET(core, &allowed)) {
      return invalid("there is no core " + std::to_string(core) +
                     " for this process; --cores takes two of those that `taskset -p $$` shows");
    }
  }
  if (*sender == *sink) return invalid("--cores takes two different cores, or none");
  options.cores = BenchCores{static_cast<uint32_t>(*sender), static_cast<uint32_t>(*sink)};
  return {};
}

Status check_spool(std::string& spool) {
  if (spool.empty()) {
    const char* named = std::getenv("TMPDIR");
    spool = named != nullptr && named[0] != '\0' ? named : "/tmp";
  }
  struct stat there {};
  if (::stat(spool.c_str(), &there) != 0 || !S_ISDIR(there.st_mode)) {
    return missing("--spool " + spool + " is no directory; make it first");
  }
  return {};
}

}  // namespace

Status understand(const BenchTexts& texts, BenchOptions& options) {
  for (const std::string& text : texts.modes) {
    for (const std::string_view part : split(text, ',')) {
      ASSIGN_OR_RETURN(const BenchMode mode, parse_mode(trim(part)));
      options.modes.push_back(mode);
    }
  }
  if (options.modes.empty()) options.modes.push_back(BenchMode::kEarned);
  ASSIGN_OR_RETURN(options.rtt, sink::parse_duration(texts.rtt));
  ASSIGN_OR_RETURN(options.size, sink::parse_size(texts.size));
  RETURN_IF_ERROR(in_range("--messages", options.messages, 1, kMessagesMax));
  RETURN_IF_ERROR(in_range("--size", options.size, kSizeMin, kSizeMax));
  RETURN_IF_ERROR(in_range("--exchangers", options.exchangers, 1, kExchangersMax));
  RETURN_IF_ERROR(
      in_range("--connections", options.connections, 1, kConnectionsMax / options.exchangers));
  RETURN_IF_ERROR(in_range("--per-connection", options.per_connection, 0, 1'000'000'000));
  RETURN_IF_ERROR(in_range("--domains", options.domains, options.exchangers, kDomainsMax));
  RETURN_IF_ERROR(in_range("--runs", options.runs, 1, 1'000));
  RETURN_IF_ERROR(in_range("--shards", options.shards, 1, 256));
  if (!(options.zipf >= 0 && options.zipf <= 10)) {
    return invalid("--zipf must be 0 (all domains alike) to 10");
  }
  RETURN_IF_ERROR(read_cores(texts.cores, options));
  return check_spool(options.spool);
}

}  // namespace sluice::tools
