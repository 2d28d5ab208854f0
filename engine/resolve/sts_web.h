// MTA-STS policies as web servers have them (RFC 8461 §3.3): what to ask, what may be believed.
//
// THREAD. Any; pure. ERRORS. Values in StsFetched, in words that are printable.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/net.h"
#include "engine/resolve/web.h"

namespace sluice {

// Canonical text of `domain`: "mta-sts.example.com".
std::string sts_host_of(const std::string& domain);
WebRequest sts_request(const std::string& domain, std::vector<IpAddress> addresses);

// Why there is no policy: the result types of RFC 8460 §4.3.2.2.
enum class StsFault : uint8_t { kFetch, kInvalid, kCertificate };

struct StsFetched {
  enum class Kind : uint8_t {
    kText,      // `text` is what the server has as the policy, untrusted
    kFailed,    // there is none that may be believed
    kNotAsked,  // nothing was learnt: out of room, or closing
  };
  Kind kind = Kind::kFailed;
  std::string text;
  std::string detail;                 // unless kText: why, in words
  StsFault fault = StsFault::kFetch;  // kFailed
};
// Taken is status 200 with text/plain: no redirect, nothing else.
StsFetched sts_fetched_of(const std::string& domain, WebAnswer answer);

}  // namespace sluice
