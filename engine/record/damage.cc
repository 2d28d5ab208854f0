#include "engine/record/damage.h"

#include <algorithm>
#include <map>

#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr std::string_view kDamagedSuffix = ".damaged";
// A job's id has whole seconds, and a file's time may lag behind the clock by a tick.
constexpr Duration kDoubt = std::chrono::seconds(2);

}  // namespace

std::string damaged_journal_name(std::string_view journal_name) {
  return std::string(journal_name) + std::string(kDamagedSuffix);
}

std::optional<std::string> parse_damaged_journal_name(std::string_view name) {
  if (!name.ends_with(kDamagedSuffix)) return std::nullopt;
  name.remove_suffix(kDamagedSuffix.size());
  if (!parse_journal_file_name(name)) return std::nullopt;
  return std::string(name);
}

std::vector<JournalGap> journal_gaps(const std::vector<std::string>& names) {
  std::map<uint32_t, std::vector<uint32_t>> series;
  for (const std::string& name : names) {
    const std::string journal = parse_damaged_journal_name(name).value_or(name);
    if (const auto file = parse_journal_file_name(journal)) {
      series[file->shard].push_back(file->number);
    }
  }
  std::vector<JournalGap> gaps;
  for (auto& [shard, numbers] : series) {
    std::sort(numbers.begin(), numbers.end());
    for (size_t i = 1; i < numbers.size(); ++i) {
      if (numbers[i] <= numbers[i - 1] + 1) continue;
      gaps.push_back(
          {journal_file_name(shard, numbers[i - 1] + 1), journal_file_name(shard, numbers[i])});
    }
  }
  return gaps;
}

bool may_concern(const UnreadJournal& unread, WallTime job_created) {
  return job_created - kDoubt <= unread.until;
}

std::string accepted_text(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += name + "\n";
  return text;
}

std::vector<std::string> parse_accepted(std::string_view text) {
  std::vector<std::string> names;
  for (const std::string_view line : split(text, '\n')) {
    if (parse_journal_file_name(line)) names.emplace_back(line);
  }
  return names;
}

}  // namespace sluice
