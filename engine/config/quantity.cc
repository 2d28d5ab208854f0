#include "engine/config/quantity.h"

#include <algorithm>
#include <array>
#include <limits>

#include "engine/base/strings.h"

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Duration kDurationMax = hours(24) * 36525;

struct TimeUnit {
  std::string_view name;  // also with an "s" behind it when longer than two letters
  Duration length;
};
constexpr TimeUnit kTimeUnits[] = {
    {"ns", Duration(1)},
    {"nsec", Duration(1)},
    {"us", Duration(1'000)},
    {"usec", Duration(1'000)},
    {"ms", Duration(1'000'000)},
    {"msec", Duration(1'000'000)},
    {"milli", Duration(1'000'000)},
    {"millisecond", Duration(1'000'000)},
    {"s", seconds(1)},
    {"sec", seconds(1)},
    {"second", seconds(1)},
    {"m", minutes(1)},
    {"min", minutes(1)},
    {"minute", minutes(1)},
    {"h", hours(1)},
    {"hr", hours(1)},
    {"hrs", hours(1)},
    {"hour", hours(1)},
    {"d", hours(24)},
    {"day", hours(24)},
    {"w", hours(168)},
    {"wk", hours(168)},
    {"wks", hours(168)},
    {"week", hours(168)},
    {"month", seconds(2'630'016)},
    {"y", seconds(31'557'600)},
    {"yr", seconds(31'557'600)},
    {"yrs", seconds(31'557'600)},
    {"year", seconds(31'557'600)},
};

std::optional<Duration> time_unit(std::string_view name) {
  for (const TimeUnit& unit : kTimeUnits) {
    if (name == unit.name) return unit.length;
    if (unit.name.size() > 2 && name.size() == unit.name.size() + 1 && name.back() == 's' &&
        name.substr(0, unit.name.size()) == unit.name) {
      return unit.length;
    }
  }
  return std::nullopt;
}

std::string quoted(std::string_view text) { return "\"" + escaped(text, 80) + "\""; }

// Cuts the longest prefix of `text` whose characters satisfy `wanted`.
template <typename Predicate>
std::string_view take_while(std::string_view& text, Predicate wanted) {
  size_t length = 0;
  while (length < text.size() && wanted(text[length])) ++length;
  const std::string_view taken = text.substr(0, length);
  text.remove_prefix(length);
  return taken;
}

std::string without(std::string_view text, std::string_view dropped) {
  std::string out;
  for (const char c : text) {
    if (dropped.find(c) == std::string_view::npos) out += c;
  }
  return out;
}

// What falls into 10 ms, a begun permit as a whole one. REQUIRES: the period is a multiple of it.
uint64_t default_burst(const Rate& rate) {
  const auto parts = static_cast<uint64_t>(rate.period / std::chrono::milliseconds(10));
  return rate.amount / parts + (rate.amount % parts == 0 ? 0 : 1);
}

}  // namespace

StatusOr<Duration> parse_duration(std::string_view text) {
  const std::string how = "; write a number with its unit, such as \"30s\", \"5m\" or \"3d\"";
  std::string_view rest = trim(text);
  if (rest.empty()) return invalid("a duration is empty" + how);
  Duration sum{0};
  while (!rest.empty()) {
    const std::string_view digits = take_while(rest, is_digit);
    const std::optional<uint64_t> count = parse_decimal(digits);
    if (!count) return invalid(quoted(text) + " is not a duration" + how);
    take_while(rest, [](char c) { return c == ' '; });
    const std::string_view name = take_while(rest, [](char c) { return c != ' ' && !is_digit(c); });
    if (name.empty()) return invalid(quoted(text) + " lacks a unit" + how);
    const std::optional<Duration> unit = time_unit(name);
    if (!unit) return invalid(quoted(text) + " has an unknown unit " + quoted(name) + how);
    const auto room = static_cast<uint64_t>((kDurationMax - sum).count());
    if (*count > room / static_cast<uint64_t>(unit->count())) {
      return invalid(quoted(text) + " is longer than 100 years; write a shorter duration");
    }
    sum += *unit * static_cast<int64_t>(*count);
    take_while(rest, [](char c) { return c == ' '; });
  }
  return sum;
}

StatusOr<Rate> parse_rate(std::string_view text) {
  const std::string how = "; write \"100/s\", \"20/min\", \"500000/h\" or \"1000/d\"";
  std::string_view rest = trim(text);
  if (starts_with_ignore_case(rest, "local:")) rest.remove_prefix(6);
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return invalid(quoted(text) + " is not a rate" + how);
  const std::optional<uint64_t> amount = parse_decimal(without(trim(rest.substr(0, slash)), "_,"));
  if (!amount) return invalid(quoted(text) + " does not begin with a whole number" + how);
  if (*amount == 0) return invalid(quoted(text) + " would never let anything pass" + how);
  rest.remove_prefix(slash + 1);

  const size_t comma = rest.find(',');
  const std::string_view unit = trim(rest.substr(0, comma));
  Rate rate;
  rate.amount = *amount;
  if (unit == "s" || unit == "sec" || unit == "second") {
    rate.period = seconds(1);
  } else if (unit == "m" || unit == "min" || unit == "minute") {
    rate.period = minutes(1);
  } else if (unit == "h" || unit == "hr" || unit == "hour") {
    rate.period = hours(1);
  } else if (unit == "d" || unit == "day") {
    rate.period = hours(24);
  } else {
    return invalid(quoted(text) + " has an unknown period " + quoted(unit) + how);
  }
  if (rate.amount > static_cast<uint64_t>(rate.period.count())) {
    return invalid(quoted(text) + " is more than one a nanosecond; leave the limit out");
  }
  if (comma == std::string_view::npos) {
    rate.burst = default_burst(rate);
    return rate;
  }

  const std::string_view option = trim(rest.substr(comma + 1));
  constexpr std::string_view kBurst = "max_burst=";
  if (option.substr(0, kBurst.size()) != kBurst) {
    return invalid(quoted(text) + " has an unknown option; only max_burst=N is known");
  }
  const std::optional<uint64_t> burst = parse_decimal(without(option.substr(kBurst.size()), "_"));
  if (!burst || *burst == 0) {
    return invalid(quoted(text) + " has no number above zero behind max_burst=");
  }
  constexpr Duration kSpanMax = hours(24) * 3652;
  const double span = static_cast<double>(*burst) * static_cast<double>(rate.period.count()) /
                      static_cast<double>(rate.amount);
  if (span > static_cast<double>(kSpanMax.count())) {
    return invalid(quoted(text) + " has a burst of more than ten years' worth; lower max_burst");
  }
  rate.burst = *burst;
  return rate;
}

namespace {

struct SizeUnit {
  std::string_view name;
  uint64_t octets;
};
// Larger ones of each kind first: size_to_string takes the first that divides.
constexpr SizeUnit kSizeUnits[] = {{"TiB", 1ULL << 40},
                                   {"GiB", 1ULL << 30},
                                   {"MiB", 1ULL << 20},
                                   {"KiB", 1ULL << 10},
                                   {"TB", 1'000'000'000'000},
                                   {"GB", 1'000'000'000},
                                   {"MB", 1'000'000},
                                   {"KB", 1'000},
                                   {"kB", 1'000},
                                   {"B", 1},
                                   {"", 1}};

}  // namespace

StatusOr<uint64_t> parse_size(std::string_view text) {
  const std::string how = "; write \"64KiB\", \"1GiB\", \"10MB\" or a number of octets";
  std::string_view rest = trim(text);
  const std::optional<uint64_t> count = parse_decimal(take_while(rest, is_digit));
  if (!count) return invalid(quoted(text) + " is not a size" + how);
  const std::string_view name = trim(rest);
  for (const SizeUnit& unit : kSizeUnits) {
    if (name != unit.name) continue;
    constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (*count > kMax / unit.octets) {
      return invalid(quoted(text) + " is too large; write a smaller size");
    }
    return *count * unit.octets;
  }
  return invalid(quoted(text) + " has an unknown unit " + quoted(name) + how);
}

std::string duration_to_string(Duration duration) {
  static constexpr TimeUnit kShown[] = {{"d", hours(24)},
                                        {"h", hours(1)},
                                        {"m", minutes(1)},
                                        {"s", seconds(1)},
                                        {"ms", Duration(1'000'000)},
                                        {"us", Duration(1'000)}};
  if (duration.count() == 0) return "0s";
  for (const TimeUnit& unit : kShown) {
    if (duration % unit.length == Duration(0)) {
      return std::to_string(duration / unit.length) + std::string(unit.name);
    }
  }
  return std::to_string(duration.count()) + "ns";
}

std::string size_to_string(uint64_t octets) {
  for (const SizeUnit& unit : kSizeUnits) {
    if (octets != 0 && octets % unit.octets == 0) {
      return std::to_string(octets / unit.octets) + std::string(unit.name);
    }
  }
  return "0B";
}

}  // namespace sluice
