#include "tests/sim/world.h"

#include <algorithm>

#include "engine/base/check.h"

namespace sluice::sim {

Duration World::between(Duration least, Duration most) {
  if (most <= least) return least;
  return least + Duration(static_cast<int64_t>(
                     random_.below(static_cast<uint64_t>((most - least).count()) + 1)));
}

void World::at(Instant when, const void* owner, Action action) {
  events_.emplace(std::pair(std::max(when, now_), planned_++), Event{owner, std::move(action)});
}

void World::forget(const void* owner) {
  std::erase_if(events_, [owner](const auto& event) { return event.second.owner == owner; });
}

bool World::run_due() {
  if (next_event() > now_) return false;
  const Action action = std::move(events_.begin()->second.action);
  events_.erase(events_.begin());
  action();
  return true;
}

void World::advance_to(Instant when) {
  CHECK(when >= now_ && when <= next_event());
  now_ = when;
}

void World::note(std::string_view line) {
  log_ += std::to_string(age().count());
  log_ += ' ';
  log_ += line;
  log_ += '\n';
}

}  // namespace sluice::sim
