#include "engine/resolve/site_name.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "engine/base/strings.h"

namespace sluice {
namespace {

// The labels at one distance from the right, over all names.
struct Position {
  std::vector<std::string> labels;  // sorted, distinct
  bool optional = false;            // some names end before it
};

std::vector<Position> positions_of(const std::vector<std::string>& names) {
  std::vector<std::vector<std::string_view>> split_names;
  size_t longest = 0;
  for (const std::string& name : names) {
    split_names.push_back(split(name, '.'));
    longest = std::max(longest, split_names.back().size());
  }
  std::vector<Position> positions(longest);
  for (const std::vector<std::string_view>& labels : split_names) {
    for (size_t i = 0; i < longest; ++i) {
      if (i < labels.size()) {
        positions[i].labels.emplace_back(labels[labels.size() - 1 - i]);
      } else {
        positions[i].optional = true;
      }
    }
  }
  for (Position& position : positions) {
    std::sort(position.labels.begin(), position.labels.end());
    const auto last = std::unique(position.labels.begin(), position.labels.end());
    position.labels.erase(last, position.labels.end());
  }
  return positions;
}

// How many names the pattern stands for; nothing when it is more than `limit` or has two optional
// positions (then it would not say which names are meant).
std::optional<size_t> names_of_pattern(const std::vector<Position>& positions, size_t limit) {
  size_t count = 1;
  for (size_t i = 0; i < positions.size(); ++i) {
    const Position& position = positions[i];
    if (position.optional && i + 1 != positions.size()) return std::nullopt;
    count *= position.labels.size() + (position.optional ? 1 : 0);
    if (count > limit) return std::nullopt;
  }
  return count;
}

std::string pattern_text(const std::vector<Position>& positions) {
  std::vector<std::string> parts;
  for (auto position = positions.rbegin(); position != positions.rend(); ++position) {
    if (position->labels.size() == 1 && !position->optional) {
      parts.push_back(position->labels.front());
    } else {
      parts.push_back("(" + join(position->labels, "|") + ")" + (position->optional ? "?" : ""));
    }
  }
  return join(parts, ".");
}

}  // namespace

std::string site_name(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (names.empty()) return "";
  if (names.size() == 1) return names.front();
  // The pattern stands for every given name; when it stands for no more, it stands for the set.
  const std::vector<Position> positions = positions_of(names);
  if (names_of_pattern(positions, names.size()) == names.size()) return pattern_text(positions);
  return join(names, "|");
}

}  // namespace sluice
