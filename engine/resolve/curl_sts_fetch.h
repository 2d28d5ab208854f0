// MTA-STS policies over HTTPS, by libcurl, on a thread of its own (RFC 8461 §3.3).
//
// HOW. GET https://mta-sts.DOMAIN/.well-known/mta-sts.txt at the addresses given and no others: the
//   name is never looked up here. The certificate must be for that host and chain to the system's
//   roots (curl's file of them; `ca_file` instead, where given), TLS 1.2 at least. No redirect,
//   proxy, cookie, .netrc or compression. Taken is status 200, text/plain, at most kStsTextMax
//   octets in `timeout`.
// ADDRESSES. Special-purpose ones (engine/base/net.h) are not connected to unless
//   `allowed_networks` has them: a policy host within the sender's network is an attack.
// OWNERSHIP. Outlived by what the `done`s hold. The destructor ends what is under way (kNotAsked)
//   and the thread.
// THREAD. fetch(): any; it waits for a lock that is held for a moment. `done` runs on the
//   fetcher's own thread, or within fetch() or the destructor. All signals are blocked on that
//   thread.
// ERRORS. kFailed, in curl's words or ours. create() fails where curl cannot be set up.
// LIMITS. `fetches_max` at once, each with a connection and up to kStsTextMax of head and of text;
//   `waiting_max` behind them in order of arrival, then kNotAsked.
// BUGS. A connection is made anew for each fetch.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/resolve/sts_fetch.h"

namespace sluice {

struct CurlStsOptions {
  std::string ca_file;  // PEM; empty: the system's roots
  std::vector<Network> allowed_networks;
  uint16_t port = 443;
  Duration timeout = std::chrono::seconds(60);
  Duration connect_timeout = std::chrono::seconds(15);
  uint32_t fetches_max = 64;
  uint32_t waiting_max = 4'096;
};

class CurlStsFetcher final : public StsFetcher {
 public:
  static StatusOr<std::unique_ptr<CurlStsFetcher>> create(const CurlStsOptions& options);
  ~CurlStsFetcher() override;

  void fetch(StsRequest request, Done done) override;

 private:
  class Impl;
  explicit CurlStsFetcher(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
