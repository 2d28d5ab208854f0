// What `sluice bench` is asked to measure, as typed values.
//
// PURPOSE  The command line's texts become a BenchOptions; mistakes are answered here, before
// anything is started.
// OWNERSHIP  Values. THREAD  Any; pure, but for the question which cores there are.
// ERRORS  InvalidArgument that says what is wrong and how to write it.
// LIMITS  100 million messages, 20,000 connections over all exchangers, 4,000 exchangers, 64 MiB a
// message, a million domains.
// BUGS  none known.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"

namespace sluice::tools {

// How messages lie on the wire, as the shaping file's ["default"] says it.
enum class BenchMode : uint8_t { kLockstep, kData, kChunking, kBlind, kEarned };
inline constexpr std::array<std::string_view, 5> kBenchModeNames = {"lockstep", "data", "chunking",
                                                                    "blind", "earned"};
inline constexpr std::string_view name_of(BenchMode mode) {
  return kBenchModeNames[static_cast<size_t>(mode)];
}

// What was said, before it is understood.
struct BenchTexts {
  std::vector<std::string> modes;
  std::string rtt = "0ms";
  std::string size = "10KiB";
  std::string cores = "0,1";
};

struct BenchCores {
  uint32_t sender = 0;
  uint32_t sink = 1;
};

struct BenchOptions {
  std::vector<BenchMode> modes;
  uint64_t messages = 200'000;
  Duration rtt{0};
  uint32_t connections = 20;    // to each exchanger
  uint32_t per_connection = 0;  // messages; 0: the engine's default
  uint64_t size = 10'240;       // of a finished message, about
  uint32_t domains = 1'000;
  double zipf = 0;  // exponent; 0: all domains alike
  uint32_t exchangers = 1;
  uint32_t runs = 1;
  uint32_t shards = 1;
  std::optional<BenchCores> cores;  // nothing: unpinned
  std::string unpinned_reason;      // why, when that was not asked for
  bool count_allocations = true;
  bool json = false;
  std::string spool;  // where the temporary directory is made; empty: $TMPDIR or /tmp
};

// Fills in what `texts` says; the numbers are there already.
Status understand(const BenchTexts& texts, BenchOptions& options);

}  // namespace sluice::tools
