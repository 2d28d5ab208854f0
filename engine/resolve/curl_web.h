// Web servers over HTTPS, by libcurl, on a thread of its own.
//
// HOW. The host is asked at the addresses given and no others: no name is looked up here. The
//   certificate must be for that host and chain to the system's roots (curl's file of them;
//   `ca_file` instead, where given), unless the request says otherwise; TLS 1.2 at least. No
//   redirect, proxy, cookie, .netrc or compression.
// ADDRESSES. Special-purpose ones (engine/base/net.h) are not connected to unless
//   `allowed_networks` has them: a host within the sender's network is an attack.
// OWNERSHIP. Outlived by what the `done`s hold. The destructor ends what is under way (kNotAsked)
//   and the thread.
// THREAD. ask(): any; it waits for a lock that is held for a moment. `done` runs on the client's
//   own thread, or within ask() or the destructor. All signals are blocked on that thread.
// ERRORS. kFailed, in curl's words or ours. create() fails where curl cannot be set up.
// LIMITS. `requests_max` at once, each with a connection, its body, and up to kTextMax of head and
//   of text; `waiting_max` behind them in order of arrival, then kNotAsked.
// BUGS. A connection is made anew for each request.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/resolve/web.h"

namespace sluice {

struct CurlWebOptions {
  std::string ca_file;  // PEM; empty: the system's roots
  std::vector<Network> allowed_networks;
  Duration timeout = std::chrono::seconds(60);
  Duration connect_timeout = std::chrono::seconds(15);
  uint32_t requests_max = 64;
  uint32_t waiting_max = 4'096;
};

class CurlWeb final : public WebClient {
 public:
  static StatusOr<std::unique_ptr<CurlWeb>> create(const CurlWebOptions& options);
  ~CurlWeb() override;

  void ask(WebRequest request, Done done) override;

 private:
  class Impl;
  explicit CurlWeb(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Host, port and target of an https: URL. Nothing when it is none, has a user's name, or has an
// address in place of a name. Any thread.
std::optional<WebRequest> parse_https_url(const std::string& url);

}  // namespace sluice
