#include "engine/shard/site.h"

#include <algorithm>

namespace sluice {

bool Site::is_rested(const IpAddress& address, Instant now) const {
  return std::any_of(rested.begin(), rested.end(),
                     [&](const Rested& r) { return r.address == address && r.until > now; });
}

void Site::on_failed(const IpAddress& address, uint32_t cohort, Instant now, Instant until) {
  std::erase_if(rested, [now](const Rested& r) { return r.failures == 0 && r.until <= now; });
  auto known = std::find_if(rested.begin(), rested.end(),
                            [&](const Rested& r) { return r.address == address; });
  if (known == rested.end()) known = rested.insert(known, Rested{address, 0, {}});
  if (++known->failures < cohort) return;
  known->failures = 0;
  known->until = until;
}

void Site::on_answered(const IpAddress& address) {
  std::erase_if(rested, [&](const Rested& r) { return r.address == address; });
}

}  // namespace sluice
