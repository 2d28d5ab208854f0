// What the sink has seen: counts of each worker, and what all workers share.
//
// Thread: WorkerCounts is its worker's until that has stopped; Shared may be used by any thread.
// Limits: RateSeries keeps kMomentsMax moments (8 octets each) for an address and worker; later
//   messages are counted but not in windows, and the report says so.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tools/sink/event_log.h"
#include "tools/sink/faults.h"
#include "tools/sink/identity.h"
#include "tools/sink/options.h"
#include "tools/sink/session.h"
#include "tools/sink/tls_identity.h"

namespace sluice::sink {

// When messages were accepted, by the millisecond since the sink began.
class RateSeries {
 public:
  static constexpr size_t kMomentsMax = 1U << 20;
  struct Moment {
    uint32_t millisecond = 0;
    uint32_t count = 0;
  };

  void add(uint32_t millisecond) {
    if (!moments_.empty() && moments_.back().millisecond == millisecond) {
      ++moments_.back().count;
    } else if (moments_.size() < kMomentsMax) {
      moments_.push_back({millisecond, 1});
    } else {
      truncated_ = true;
    }
  }
  const std::vector<Moment>& moments() const { return moments_; }
  bool truncated() const { return truncated_; }
  // Adds another series to this one, in order of time.
  void merge(const RateSeries& other);
  // The most messages in any window [t, t + length) of milliseconds.
  uint64_t most_in(uint32_t length) const;
  // Messages in each whole second from the first message on, at most `seconds_max` of them.
  std::vector<uint64_t> by_second(size_t seconds_max) const;

 private:
  std::vector<Moment> moments_;
  bool truncated_ = false;
};

// Of one listening address.
struct HostCounts {
  uint64_t connections = 0;
  uint64_t refused = 0;
  uint64_t messages = 0;
  RateSeries series;
  RateSeries connects;
};

struct WorkerCounts {
  std::vector<HostCounts> hosts;
  uint64_t messages = 0;
  uint64_t messages_in_tls = 0;
  uint64_t recipients = 0;
  uint64_t content_bytes = 0;
  uint64_t received_bytes = 0;
  uint64_t receives = 0;
  uint64_t sends = 0;
  uint64_t out_of_buffers = 0;
  uint64_t dropped_unread = 0;  // connections closed because the client read no replies
  uint64_t store_errors = 0;
};

// A counter with its highest value ever.
class Gauge {
 public:
  uint64_t raise() {
    const uint64_t now = value_.fetch_add(1) + 1;
    uint64_t peak = peak_.load();
    while (peak < now && !peak_.compare_exchange_weak(peak, now)) {
    }
    return now;
  }
  void lower() { value_.fetch_sub(1); }
  uint64_t value() const { return value_.load(); }
  uint64_t peak() const { return peak_.load(); }
  // raise(), unless that would exceed `most` (0: no limit).
  bool try_raise(uint64_t most) {
    if (most > 0 && value_.load() >= most) return false;
    if (raise() <= most || most == 0) return true;
    lower();
    return false;
  }

 private:
  std::atomic<uint64_t> value_{0};
  std::atomic<uint64_t> peak_{0};
};

struct Shared {
  explicit Shared(const SinkOptions& o)
      : options(o),
        identities(o.exact),
        hosts(std::make_unique<Gauge[]>(o.listen.size())),
        tls_connections(std::make_unique<std::atomic<uint64_t>[]>(o.listen.size())) {}

  // Whether the next connection to this address is offered STARTTLS.
  bool offers_tls(uint32_t host) {
    if (!options.session.starttls) return false;
    const uint64_t first = options.tls.first_connections;
    return first == 0 || tls_connections[host].fetch_add(1) < first;
  }

  const SinkOptions& options;
  IdentityTable identities;
  FirstAttempts first_attempts;
  Gauge connections;
  std::unique_ptr<Gauge[]> hosts;                            // one a listening address
  std::unique_ptr<std::atomic<uint64_t>[]> tls_connections;  // so far, one a listening address
  TlsIdentity tls;                                           // with SessionOptions::starttls
  std::atomic<uint64_t> messages{0};
  LogFile log;
  int done_event = -1;  // an eventfd, written when stop_after_messages is reached
};

}  // namespace sluice::sink
