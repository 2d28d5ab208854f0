// One request to the kernel (or to the pretended one) and its result.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <string_view>

#include "engine/base/check.h"
#include "engine/ring/signal.h"

namespace sluice {

// What went wrong with an operation, as far as anybody decides by it.
enum class IoError : uint8_t {
  kNone,
  kCancelled,
  kRefused,          // ECONNREFUSED
  kUnreachable,      // no route to host or network
  kTimedOut,         // the kernel's own time-out
  kReset,            // reset or broken pipe
  kAddressInUse,     // also: no local port is left
  kAddressUnusable,  // the local address cannot be bound
  kNoDescriptors,
  kNoMemory,
  kNotFound,
  kExists,
  kDenied,
  kReadOnly,
  kNoSpace,  // also: quota
  kFailed,   // EIO and everything else that is not named; raw_errno has it
};
std::string_view name_of(IoError error);
IoError io_error_of(int raw_errno);

struct IoResult {
  int32_t value = 0;  // octets, or a handle from accept; 0 from receive: the peer has ended
  IoError error = IoError::kNone;
  int raw_errno = 0;
  bool ok() const { return error == IoError::kNone; }
};

// Lives in a slot that outlives its being in flight: never in a coroutine frame, and neither do
// the buffers given with it. Started through Io; when it completes, in_flight() is false, result()
// holds, and the signal is notified. The destructor CHECKs that nothing is in flight.
class Operation {
 public:
  explicit Operation(Signal& signal) : signal_(&signal) {}
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  ~Operation() { CHECK(!in_flight_); }

  bool in_flight() const { return in_flight_; }
  // True once after a completion, until take().
  bool done() const { return done_; }
  const IoResult& result() const { return result_; }
  IoResult take() {
    CHECK(done_);
    done_ = false;
    return result_;
  }

 private:
  friend class Io;
  Signal* signal_;
  IoResult result_;
  uint64_t id_ = 0;  // Io's name for it while in flight
  bool in_flight_ = false;
  bool done_ = false;
};

}  // namespace sluice
