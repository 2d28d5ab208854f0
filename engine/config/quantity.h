// Durations, rates and sizes as people write them in sluice.toml, job.toml and shaping files.
//
// Pure functions; any thread. Errors are kInvalidArgument and say what is wrong and what to write
// instead, without file and line: the callers of this room put the place before it.
//
// LIMITS  A duration is at most 100 years. A rate is at most one a nanosecond, and its burst must
// not span more than 10 years. A size is at most 2^63 - 1 octets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/model/policy.h"

namespace sluice {

// "30s", "5m", "3d", "250ms"; also KumoMTA's (humantime's) forms: "5 minutes", "1h 30m", "2weeks".
// One or more whole numbers, each with its unit: ns, us, ms, s, m, h, d, w, month (30.44 days), y
// (365.25 days) and their long names. A bare number is an error: 30 of what?
StatusOr<Duration> parse_duration(std::string_view text);

// "100/s", "20/min", "500000/h", "1/d"; also KumoMTA's notation: "1,000/hr", "10_000/d",
// "100/s,max_burst=5", and a prefix "local:", which says nothing here since limits are shared by
// all shards of the process anyway. Where no burst is named it is what falls into 10 ms, a begun
// permit as a whole one: 1 up to 100/s, 2 at 500,000/h, 10 at 1,000/s (model/policy.h tells why). A
// named one is kept to the letter.
StatusOr<Rate> parse_rate(std::string_view text);

// "64KiB", "1GiB" (powers of 1024), "10MB" (powers of 1000), "512B", "4096": octets.
StatusOr<uint64_t> parse_size(std::string_view text);

// The shortest text that parse_duration reads back as the same value: "30d", "5ms", "90s".
std::string duration_to_string(Duration duration);
// The shortest text that parse_size reads back as the same value: "1GiB", "1500B".
std::string size_to_string(uint64_t octets);

}  // namespace sluice
