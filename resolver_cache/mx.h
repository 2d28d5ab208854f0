// Rules about sets of MX records (RFC 5321 §5.1, RFC 7505). Pure; any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "resolver_cache/answer.h"

namespace resolver_cache {

// Of a longer set, the exchangers of the highest numbers are not looked at.
inline constexpr size_t kExchangersMax = 64;
// One more is kept: it says that there are more.
inline constexpr size_t kExchangersKept = kExchangersMax + 1;
static_assert(kExchangersKept <= kItemsMax);

// RFC 7505: one record, and it names the root: the domain takes no mail.
inline bool is_null_mx(const std::vector<Item>& records) {
  return records.size() == 1 && records.front().data.empty();
}

// By preference, then name; each host once, at its best preference; the root left out where it
// stands beside others (RFC 7505 §3 forbids that); at most kExchangersKept. A null MX stays as it
// is.
inline void tidy_mx(std::vector<Item>& records) {
  if (is_null_mx(records)) return;
  std::sort(records.begin(), records.end(), [](const Item& a, const Item& b) {
    return std::tie(a.data, a.preference) < std::tie(b.data, b.preference);
  });
  const auto same_host = [](const Item& a, const Item& b) { return a.data == b.data; };
  records.erase(std::unique(records.begin(), records.end(), same_host), records.end());
  std::sort(records.begin(), records.end(), [](const Item& a, const Item& b) {
    return std::tie(a.preference, a.data) < std::tie(b.preference, b.data);
  });
  if (records.size() > 1) {
    const auto is_root = [](const Item& item) { return item.data.empty(); };
    records.erase(std::remove_if(records.begin(), records.end(), is_root), records.end());
  }
  if (records.size() > kExchangersKept) records.resize(kExchangersKept);
}

// Shuffles each run of equal preference (RFC 5321 §5.1: "MUST randomize"). `hosts` is sorted by a
// member `preference`; below(n) gives a random number in [0, n).
template <typename Host, typename Below>
void shuffle_equal_preference(std::vector<Host>& hosts, Below below) {
  size_t begin = 0;
  while (begin < hosts.size()) {
    size_t end = begin + 1;
    while (end < hosts.size() && hosts[end].preference == hosts[begin].preference) ++end;
    for (size_t n = end - begin; n > 1; --n) {
      using std::swap;
      swap(hosts[begin + n - 1], hosts[begin + static_cast<size_t>(below(n))]);
    }
    begin = end;
  }
}

}  // namespace resolver_cache
