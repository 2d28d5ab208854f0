#include "engine/spool/suppression.h"

#include <algorithm>

namespace sluice {

SuppressionSet::Keys SuppressionSet::keys_of(std::string_view address,
                                             std::string_view domain) const {
  Keys keys;
  if (kinds_.addresses) keys.add(suppress_key_of_address(address));
  if (kinds_.domains) keys.add(suppress_key_of_domain(domain));
  if (kinds_.digests) keys.add(suppress_key_of_digest(address));
  return keys;
}

bool SuppressionSet::holds(const Hash128& key) const {
  return sorted_.filter != nullptr && sorted_.filter->may_contain(key) &&
         std::binary_search(sorted_.keys.begin(), sorted_.keys.end(), key, hash_less);
}

SuppressionSet::Answer SuppressionSet::ask(const Keys& keys, Keys& unsure) const {
  unsure.count = 0;
  for (const Hash128& key : keys.all()) {
    if (holds(key)) return Answer::kSuppressed;
    if (runs_.filter != nullptr && runs_.filter->may_contain(key)) unsure.add(key);
  }
  return unsure.count > 0 ? Answer::kUnsure : Answer::kClear;
}

uint64_t SuppressionSet::entries() const {
  uint64_t sum = sorted_.keys.size();
  for (const HashRunPtr& run : runs_.files) sum += run->index.entries();
  return sum;
}

size_t SuppressionSet::memory_bytes() const {
  size_t sum = sorted_.keys.size() * sizeof(Hash128);
  if (sorted_.filter != nullptr) sum += sorted_.filter->memory_bytes();
  if (runs_.filter != nullptr) sum += runs_.filter->memory_bytes();
  for (const HashRunPtr& run : runs_.files) sum += run->index.blocks() * sizeof(Hash128);
  return sum;
}

}  // namespace sluice
