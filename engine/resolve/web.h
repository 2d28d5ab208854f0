// The door to web servers: MTA-STS policies are fetched through it (sts_web.h), TLS reports sent.
//
// Implemented twice: CurlWeb (curl_web.h) asks real servers over HTTPS; tests answer from what they
// make up. Whoever asks finds the addresses (Resolver::addresses_of_web()): no name is looked up
// behind this door.
//
// THREAD. ask(): any, and it never waits. `done` is run exactly once, on any thread, perhaps within
//   ask(); it must be short and must not call the client.
// OWNERSHIP. The request is moved in. What `done` holds outlives the client.
// ERRORS. Values in WebAnswer, in words that are printable.
// LIMITS. An implementation bounds what it asks at once and what waits behind; beyond that
//   kNotAsked at once. Every request ends within a bounded time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "engine/base/net.h"

namespace sluice {

// GET, or with `body_type` POST.
struct WebRequest {
  std::string host;  // canonical text of a name
  uint16_t port = 443;
  std::string target = "/";          // path and query
  std::vector<IpAddress> addresses;  // of that host; no other is asked
  std::string body_type;
  std::string body;
  // Else the certificate must be the host's and chain to a known root.
  bool any_certificate = false;
};

struct WebAnswer {
  enum class Kind : uint8_t {
    kAnswered,  // `status`, `type` and `text` are what the server said, untrusted
    kFailed,
    kNotAsked,  // nothing was learnt: out of room, or closing
  };
  static constexpr size_t kTextMax = 64UL << 10;

  Kind kind = Kind::kFailed;
  long status = 0;
  std::string type;              // of the content, as the head says it
  std::string text;              // at most kTextMax octets: an answer with more has failed
  std::string detail;            // unless kAnswered: why, in words, with the host's name
  bool bad_certificate = false;  // kFailed: for that
};

class WebClient {
 public:
  using Done = absl::AnyInvocable<void(WebAnswer)>;

  virtual ~WebClient() = default;
  virtual void ask(WebRequest request, Done done) = 0;
};

}  // namespace sluice
