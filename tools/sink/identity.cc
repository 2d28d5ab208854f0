#include "tools/sink/identity.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "engine/base/check.h"
#include "tools/sink/faults.h"

namespace sluice::sink {

uint32_t IdentityTable::add(std::string_view identity) {
  const uint64_t hash = stable_hash(identity);
  Part& part = parts_[hash % kParts];
  const std::lock_guard<std::mutex> lock(part.mutex);
  uint32_t count = 0;
  if (exact_) {
    const auto found = part.texts.find(identity);
    if (found == part.texts.end()) {
      part.texts.emplace(std::string(identity), 1U);
      return 1;
    }
    count = ++found->second;
  } else {
    count = ++part.hashes[hash];
  }
  if (count == 2 && part.repeated.size() < kExamples) part.repeated.emplace_back(identity);
  return count;
}

uint32_t IdentityTable::count_of(std::string_view identity) const {
  const uint64_t hash = stable_hash(identity);
  const Part& part = parts_[hash % kParts];
  const std::lock_guard<std::mutex> lock(part.mutex);
  if (exact_) {
    const auto found = part.texts.find(identity);
    return found == part.texts.end() ? 0 : found->second;
  }
  const auto found = part.hashes.find(hash);
  return found == part.hashes.end() ? 0 : found->second;
}

IdentitySummary IdentityTable::summary() const {
  IdentitySummary sum;
  const auto count = [&sum](uint32_t times) {
    ++sum.distinct;
    if (times == 1) {
      ++sum.once;
    } else if (times == 2) {
      ++sum.twice;
    } else {
      ++sum.more;
    }
  };
  for (const Part& part : parts_) {
    const std::lock_guard<std::mutex> lock(part.mutex);
    for (const auto& entry : part.hashes) count(entry.second);
    for (const auto& entry : part.texts) count(entry.second);
    sum.repeated.insert(sum.repeated.end(), part.repeated.begin(), part.repeated.end());
  }
  std::sort(sum.repeated.begin(), sum.repeated.end());
  if (sum.repeated.size() > kExamples) sum.repeated.resize(kExamples);
  return sum;
}

Expectation IdentityTable::compare(std::istream& lines) const {
  Expectation result;
  absl::flat_hash_set<uint64_t> listed;
  uint64_t found = 0;
  std::string line;
  while (std::getline(lines, line)) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || !listed.insert(stable_hash(line)).second) continue;
    ++result.expected;
    if (count_of(line) > 0) {
      ++found;
    } else {
      ++result.lost;
      if (result.missed.size() < kExamples) result.missed.push_back(line);
    }
  }
  result.unexpected = summary().distinct - found;
  return result;
}

void IdentityTable::write(std::ostream& out) const {
  CHECK(exact_);
  std::vector<std::pair<std::string, uint32_t>> all;
  for (const Part& part : parts_) {
    const std::lock_guard<std::mutex> lock(part.mutex);
    all.insert(all.end(), part.texts.begin(), part.texts.end());
  }
  std::sort(all.begin(), all.end());
  for (const auto& entry : all) out << entry.first << ' ' << entry.second << '\n';
}

}  // namespace sluice::sink
