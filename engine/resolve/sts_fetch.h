// The door to MTA-STS policies on the web: a domain's policy text, or why there is none.
//
// Implemented twice: CurlStsFetcher (curl_sts_fetch.h) asks real servers over HTTPS; tests and the
// simulation answer from what they make up. The resolver finds the addresses and alone uses it.
//
// THREAD. fetch(): any, and it never waits. `done` is run exactly once, on any thread, perhaps
//   within fetch(); it must be short and must not call the fetcher.
// OWNERSHIP. The request is copied. What `done` holds outlives the fetcher.
// ERRORS. Values in StsFetched, in words that are printable.
// LIMITS. An implementation bounds what it fetches at once and what waits behind; beyond that
//   kNotAsked at once. Every fetch ends within a bounded time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "engine/base/net.h"

namespace sluice {

struct StsRequest {
  std::string domain;                // canonical text: the policy of https://mta-sts.DOMAIN/
  std::vector<IpAddress> addresses;  // of that host; no other is asked
};

struct StsFetched {
  enum class Kind : uint8_t {
    kText,      // `text` is what the server has as the policy, untrusted
    kFailed,    // there is none that may be believed
    kNotAsked,  // nothing was learnt: out of room, or closing
  };
  Kind kind = Kind::kFailed;
  std::string text;
  std::string detail;  // unless kText: why, in words
};

class StsFetcher {
 public:
  using Done = absl::AnyInvocable<void(StsFetched)>;

  virtual ~StsFetcher() = default;
  virtual void fetch(StsRequest request, Done done) = 0;
};

}  // namespace sluice
