#include "engine/schedule/permits.h"

#include "engine/base/check.h"

namespace sluice {

std::optional<Denial> Permits::take(std::span<Gcra* const> limits, Instant now) {
  CHECK(limits.size() <= kMost);
  count_ = 0;
  std::optional<Denial> denial;
  for (size_t which = 0; which < limits.size(); ++which) {
    if (limits[which] == nullptr) continue;
    const Instant at = limits[which]->peek(now);
    if (at > now && (!denial || at > denial->at)) denial = Denial{which, at};
  }
  if (denial) return denial;
  for (size_t which = 0; which < limits.size(); ++which) {
    if (limits[which] == nullptr) continue;
    const Permit permit = limits[which]->take(now);
    if (!permit.granted) {
      give_back(now);
      return Denial{which, permit.at};
    }
    limits_[count_] = limits[which];
    permits_[count_] = permit;
    ++count_;
  }
  return std::nullopt;
}

void Permits::give_back(Instant now) {
  while (count_ > 0) {
    --count_;
    (void)limits_[count_]->give_back(permits_[count_], now);
  }
}

}  // namespace sluice
