#include "engine/config/problems.h"

#include <algorithm>
#include <tuple>

#include "engine/base/check.h"
#include "engine/base/strings.h"

namespace sluice::config {
namespace {

constexpr size_t kToldMax = 50;

}  // namespace

void Problems::add(Place place, std::string what) {
  only_not_built_ = false;
  entries_.push_back({place, std::move(what), false});
}

void Problems::add_not_built(Place place, std::string what) {
  entries_.push_back({place, std::move(what), false});
}

void Problems::add_foreign(Place place, std::string lines) {
  only_not_built_ = false;
  entries_.push_back({place, std::move(lines), true});
}

Status Problems::status(Status (*kind)(std::string)) const {
  CHECK(!none());
  std::vector<Entry> sorted = entries_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
  });
  std::vector<std::string> lines;
  for (const Entry& entry : sorted) {
    if (lines.size() == kToldMax) break;
    if (entry.foreign) {
      lines.push_back(entry.text);
    } else if (entry.place.line == 0) {
      lines.push_back(file_ + ": " + entry.text);
    } else {
      lines.push_back(file_ + ":" + std::to_string(entry.place.line) + ":" +
                      std::to_string(entry.place.column) + ": " + entry.text);
    }
  }
  if (sorted.size() > kToldMax) {
    lines.push_back(file_ + ": and " + std::to_string(sorted.size() - kToldMax) + " more mistakes");
  }
  std::string text = join(lines, "\n");
  return only_not_built_ ? not_built(std::move(text)) : kind(std::move(text));
}

}  // namespace sluice::config
