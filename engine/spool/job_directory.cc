#include "engine/spool/job_directory.h"

#include <algorithm>
#include <cstdio>
#include <limits>

#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr size_t kNameBytesMax = 100;
constexpr size_t kSuffixLetters = 6;
constexpr size_t kTimeLetters = 16;  // YYYYMMDDTHHMMSSZ
constexpr std::string_view kBase32 = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view kSegmentEnd = ".seg";
constexpr std::string_view kClaimed = ".taken-";
constexpr std::string_view kReleased = ".left-";
constexpr std::string_view kArriving = ".arriving-";
constexpr size_t kSegmentDigits = 8;
constexpr int64_t kSecondsPerDay = 86'400;

bool is_letter_or_digit(char c) {
  const char lower = ascii_lower(c);
  return is_digit(c) || (lower >= 'a' && lower <= 'z');
}

bool is_name_octet(char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-'; }

std::string_view without_slash(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return path;
}

// The proleptic Gregorian calendar, by the standard library.
struct Civil {
  int year = 1970;
  unsigned month = 1;
  unsigned day = 1;
  int hour = 0;
  int minute = 0;
  int second = 0;
};

Civil civil_of(WallTime time) {
  const int64_t seconds = unix_seconds(time);
  const int64_t days = (seconds >= 0 ? seconds : seconds - (kSecondsPerDay - 1)) / kSecondsPerDay;
  const auto of_day = static_cast<int>(seconds - days * kSecondsPerDay);
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(days))};
  return {static_cast<int>(date.year()),
          static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          of_day / 3600,
          of_day / 60 % 60,
          of_day % 60};
}

std::optional<WallTime> wall_of(const Civil& civil) {
  const std::chrono::year_month_day date{
      std::chrono::year(civil.year), std::chrono::month(civil.month), std::chrono::day(civil.day)};
  // Nanoseconds in 64 bits end in 2262; a second of 60 is a leap second, which Unix does not have.
  if (!date.ok() || civil.year < 1970 || civil.year > 2261 || civil.hour > 23 ||
      civil.minute > 59 || civil.second > 59) {
    return std::nullopt;
  }
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return from_unix_seconds(days * kSecondsPerDay + civil.hour * 3600 + civil.minute * 60 +
                           civil.second);
}

// Reads numbers and literal octets off the front of a text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}
  int number(size_t digits) {
    const auto value = parse_decimal(rest_.substr(0, digits));
    ok_ = ok_ && rest_.size() >= digits && value.has_value();
    if (!ok_) return 0;
    rest_.remove_prefix(digits);
    return static_cast<int>(*value);
  }
  void literal(char c) {
    ok_ = ok_ && !rest_.empty() && rest_.front() == c;
    if (ok_) rest_.remove_prefix(1);
  }
  bool ok() const { return ok_; }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

std::string compact_time(WallTime time) {
  const Civil c = civil_of(time);
  char text[64];
  std::snprintf(text, sizeof text, "%04d%02u%02uT%02d%02d%02dZ", c.year, c.month, c.day, c.hour,
                c.minute, c.second);
  return text;
}

std::optional<WallTime> parse_compact_time(std::string_view text) {
  Scanner in(text);
  Civil c;
  c.year = in.number(4);
  c.month = static_cast<unsigned>(in.number(2));
  c.day = static_cast<unsigned>(in.number(2));
  in.literal('T');
  c.hour = in.number(2);
  c.minute = in.number(2);
  c.second = in.number(2);
  in.literal('Z');
  if (!in.ok() || !in.rest().empty()) return std::nullopt;
  return wall_of(c);
}

std::optional<std::string> id_behind(std::string_view prefix, std::string_view name) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  if (!parse_job_id(name).has_value()) return std::nullopt;
  return std::string(name);
}

}  // namespace

std::string SpoolPaths::child(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (path.empty() || path.back() != '/') path += '/';
  path += name;
  return path;
}

SpoolPaths::SpoolPaths(std::string_view spool_root)
    : root(without_slash(spool_root)),
      incoming(child(root, "incoming")),
      active(child(root, "active")),
      journal(child(root, "journal")),
      done(child(root, "done")),
      failed(child(root, "failed")),
      suppress(child(root, "suppress")),
      suppress_index(child(root, "suppress.index")) {}

JobPaths::JobPaths(std::string_view job_directory)
    : root(without_slash(job_directory)),
      job_toml(SpoolPaths::child(root, "job.toml")),
      segments(SpoolPaths::child(root, "segments")),
      progress(SpoolPaths::child(root, "progress")),
      rejected(SpoolPaths::child(root, "rejected.csv")),
      summary(SpoolPaths::child(root, "summary.json")),
      error(SpoolPaths::child(root, "error.txt")),
      outcomes(SpoolPaths::child(root, "outcomes")) {}

std::string JobPaths::segment(SegmentNumber number) const {
  return SpoolPaths::child(segments, segment_name(number));
}

std::string JobPaths::temporary(std::string_view path) {
  const size_t slash = path.rfind('/');
  const size_t name = slash == std::string_view::npos ? 0 : slash + 1;
  return std::string(path.substr(0, name)) + ".new-" + std::string(path.substr(name));
}

std::string segment_name(SegmentNumber number) {
  std::string digits = std::to_string(number);
  if (digits.size() < kSegmentDigits) digits.insert(0, kSegmentDigits - digits.size(), '0');
  return digits.append(kSegmentEnd);
}

std::optional<SegmentNumber> parse_segment_name(std::string_view name) {
  if (name.size() < kSegmentDigits + kSegmentEnd.size()) return std::nullopt;
  const auto number = parse_decimal(name.substr(0, name.size() - kSegmentEnd.size()));
  if (!number.has_value() || *number > std::numeric_limits<SegmentNumber>::max()) {
    return std::nullopt;
  }
  const auto segment = static_cast<SegmentNumber>(*number);
  if (segment_name(segment) != name) return std::nullopt;
  return segment;
}

std::string claimed_name(std::string_view id) { return std::string(kClaimed).append(id); }
std::string released_name(std::string_view id) { return std::string(kReleased).append(id); }
std::string arriving_name(std::string_view id) { return std::string(kArriving).append(id); }

std::optional<std::string> parse_claimed_name(std::string_view name) {
  return id_behind(kClaimed, name);
}
std::optional<std::string> parse_arriving_name(std::string_view name) {
  return id_behind(kArriving, name);
}

bool is_takeable(std::string_view incoming_name) {
  return !incoming_name.empty() && incoming_name.front() != '.';
}

bool is_job_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax && is_letter_or_digit(name.front()) &&
         std::all_of(name.begin(), name.end(), is_name_octet);
}

std::string clean_job_name(std::string_view name) {
  std::string clean(name.substr(0, kNameBytesMax));
  for (char& c : clean) {
    if (!is_name_octet(c)) c = '-';
  }
  const auto first = std::find_if(clean.begin(), clean.end(), is_letter_or_digit);
  clean.erase(clean.begin(), first);
  return clean.empty() ? "job" : clean;
}

std::optional<JobId> parse_job_id(std::string_view id) {
  constexpr size_t kTail = 1 + kTimeLetters + 1 + kSuffixLetters;
  if (id.size() <= kTail) return std::nullopt;
  const std::string_view tail = id.substr(id.size() - kTail);
  const std::string_view name = id.substr(0, id.size() - kTail);
  const std::string_view suffix = tail.substr(kTail - kSuffixLetters);
  if (!is_job_name(name) || tail[0] != '-' || tail[1 + kTimeLetters] != '-' ||
      suffix.find_first_not_of(kBase32) != std::string_view::npos) {
    return std::nullopt;
  }
  const auto created = parse_compact_time(tail.substr(1, kTimeLetters));
  if (!created.has_value()) return std::nullopt;
  return JobId{std::string(name), *created, std::string(suffix)};
}

std::string make_job_id(std::string_view name, WallTime now, uint64_t random) {
  if (parse_job_id(name).has_value()) return std::string(name);
  std::string id = clean_job_name(name) + "-" + compact_time(now) + "-";
  for (size_t i = 0; i < kSuffixLetters; ++i, random >>= 5) id += kBase32[random & 31];
  return id;
}

std::string format_utc(WallTime time) {
  const Civil c = civil_of(time);
  const auto past_second = time - std::chrono::floor<std::chrono::seconds>(time);
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(past_second).count();
  char text[80];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", c.year, c.month, c.day,
                c.hour, c.minute, c.second, static_cast<int>(milliseconds));
  return text;
}

std::optional<WallTime> parse_utc(std::string_view text) {
  Scanner in(text);
  Civil c;
  c.year = in.number(4);
  in.literal('-');
  c.month = static_cast<unsigned>(in.number(2));
  in.literal('-');
  c.day = static_cast<unsigned>(in.number(2));
  in.literal('T');
  c.hour = in.number(2);
  in.literal(':');
  c.minute = in.number(2);
  in.literal(':');
  c.second = in.number(2);
  if (!in.ok() || in.rest().empty() || in.rest().back() != 'Z') return std::nullopt;
  std::string_view fraction = in.rest().substr(0, in.rest().size() - 1);
  int64_t nanoseconds = 0;
  if (!fraction.empty()) {
    if (fraction.front() != '.' || fraction.size() < 2) return std::nullopt;
    fraction.remove_prefix(1);
    int64_t unit = 100'000'000;
    for (const char digit : fraction) {
      if (!is_digit(digit)) return std::nullopt;
      nanoseconds += (digit - '0') * unit;
      unit /= 10;
    }
  }
  const auto time = wall_of(c);
  if (!time.has_value()) return std::nullopt;
  return *time + std::chrono::nanoseconds(nanoseconds);
}

}  // namespace sluice
