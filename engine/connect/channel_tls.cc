// The parts of a channel that are about TLS.
#include <string>
#include <utility>

#include "engine/base/check.h"
#include "engine/connect/channel.h"

namespace sluice {
namespace {

// So long without an octet, and what a session can do without is given back.
constexpr Duration kQuiet = std::chrono::seconds(1);

}  // namespace

Task<std::optional<TlsFailure>> Channel::start_tls(std::unique_ptr<TlsEngine> engine,
                                                   Instant deadline) {
  CHECK(is_open() && !tls_ && received_ == 0);
  CHECK(!sending() && !send_op_.in_flight() && !send_op_.done());
  tls_ = std::make_unique<TlsCarriage>(std::move(engine));
  tls_->begin();
  pieces_.clear();
  next_piece_ = 0;
  in_buffer_ = receive_op_.in_flight() || receive_op_.done();
  input_ended_ = false;
  rested_ = true;
  moved_ = true;
  shaking_ = true;
  set_deadline(deadline);
  std::optional<TlsFailure> failure;
  while (true) {
    update();
    failure = handshake_failure();
    if (failure || tls_->engine().open()) break;
    co_await changed_;
  }
  shaking_ = false;
  set_deadline(kForever);
  if (failure) {
    break_off(IoError::kReset);
  } else {
    // The last flight goes with what is said first, or by itself.
    changed_.notify();
  }
  co_return failure;
}

std::optional<TlsFailure> Channel::handshake_failure() const {
  const TlsEngine& engine = tls_->engine();
  if (engine.failed()) return engine.failure();
  if (engine.open()) return std::nullopt;
  if (fault_ != IoError::kNone) {
    return TlsFailure{TlsFailureKind::kTruncated,
                      "the connection broke within the handshake: " + std::string(name_of(fault_))};
  }
  if (deadline_passed()) {
    return TlsFailure{TlsFailureKind::kTimedOut, "the handshake took too long"};
  }
  if (stop_dialling_) return TlsFailure{TlsFailureKind::kTruncated, "given up: we stop"};
  return std::nullopt;
}

void Channel::send_records() {
  if (fault_ != IoError::kNone || send_op_.in_flight() || send_op_.done()) return;
  TlsEngine& engine = tls_->engine();
  // Behind a close_notify the peer only waits for us to go.
  if (engine.open() && !engine.failed()) {
    tls_->fill(pieces_);
    take_sent(0);
    // Told by the next update().
    if (engine.failed()) changed_.notify();
  }
  const std::string_view octets = engine.outgoing();
  if (octets.empty()) return;
  records_ = {const_cast<char*>(octets.data()), octets.size()};
  loop_.io().send(send_op_, socket_, {&records_, 1});
}

void Channel::break_off(IoError error) {
  if (fault_ == IoError::kNone) fault_ = error;
  receive_failed_ = true;
}

void Channel::pull() {
  TlsEngine& engine = tls_->engine();
  if (received_ == 0 && !ended_ && !receive_failed_) {
    // Nothing is in there: what the receive in flight may bring is not deciphered yet.
    received_ = tls_->pull(buffer_);
    if (received_ == 0 && input_ended_ && tls_->input_empty() && fault_ == IoError::kNone) {
      engine.receive_end();
    }
    if (received_ == 0) {
      // An alert goes out if it can.
      if (engine.failed()) send_records();
      if (engine.failed() || (input_ended_ && fault_ != IoError::kNone)) {
        break_off(IoError::kReset);
      } else if (engine.ended() || input_ended_) {
        ended_ = true;
      }
    }
    listen_again();
  }
  if (!shaking_ || !engine.open()) send_records();
  if (!shaking_) rest_when_quiet();
}

void Channel::rest_when_quiet() {
  if (rest_timer_.armed()) return;
  if (moved_) {
    moved_ = false;
    rested_ = false;
    rest_timer_.arm(loop_.timers(), loop_.now() + kQuiet);
  } else if (!rested_ && !sending() && !send_op_.in_flight() && received_ == 0) {
    rested_ = true;
    tls_->engine().rest();
  }
}

void Channel::say_end() {
  TlsEngine& engine = tls_->engine();
  if (!engine.open() || engine.failed() || fault_ != IoError::kNone || sending()) return;
  if (send_op_.in_flight() || send_op_.done()) return;
  engine.end();
  // Tried once: it is taken back right behind this, if the socket is full.
  send_records();
}

}  // namespace sluice
