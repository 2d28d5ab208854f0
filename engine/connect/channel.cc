#include "engine/connect/channel.h"

#include <algorithm>

#include "engine/base/check.h"

namespace sluice {

Channel::Channel(Loop& loop) : loop_(loop) {}

Channel::~Channel() { CHECK(socket_ == kNoHandle); }

Task<IoResult> Channel::dial(SocketAddress to, std::optional<IpAddress> source, Instant deadline) {
  CHECK(socket_ == kNoHandle);
  fault_ = IoError::kNone;
  ended_ = false;
  receive_failed_ = false;
  received_ = 0;
  peer_ = to;
  const StatusOr<Handle> socket =
      loop_.io().open_socket({.family = to.ip.family, .source = source});
  if (!socket.ok()) {
    IoResult failed;
    failed.error = absl::IsResourceExhausted(socket.status()) ? IoError::kNoDescriptors
                                                              : IoError::kAddressUnusable;
    co_return failed;
  }
  socket_ = *socket;
  set_deadline(deadline);
  loop_.io().connect(connect_op_, socket_, peer_);
  bool timed_out = false;
  bool cancelled = false;
  if (stop_dialling_) changed_.notify();
  while (!connect_op_.done()) {
    co_await changed_;
    timed_out = timed_out || deadline_passed();
    if ((timed_out || stop_dialling_) && !cancelled && !connect_op_.done()) {
      cancelled = true;
      loop_.io().cancel(connect_op_);
    }
  }
  set_deadline(kForever);
  IoResult result = connect_op_.take();
  if (!result.ok()) {
    if (timed_out && cancelled) result.error = IoError::kTimedOut;
    loop_.io().close(socket_);
    socket_ = kNoHandle;
    co_return result;
  }
  listen_again();
  co_return result;
}

void Channel::stop_dialling() {
  stop_dialling_ = true;
  changed_.notify();
}

void Channel::send(std::span<const iovec> pieces) {
  CHECK(!sending() && (tls_ || !send_op_.in_flight()));
  pieces_.assign(pieces.begin(), pieces.end());
  next_piece_ = 0;
  if (tls_) tls_->begin();
  send_rest();
}

void Channel::send_rest() {
  if (tls_) {
    send_records();
    return;
  }
  while (next_piece_ < pieces_.size() && pieces_[next_piece_].iov_len == 0) ++next_piece_;
  if (next_piece_ == pieces_.size() || fault_ != IoError::kNone) return;
  const size_t count = std::min<size_t>(pieces_.size() - next_piece_, 1'024);
  loop_.io().send(send_op_, socket_, std::span(pieces_).subspan(next_piece_, count));
}

void Channel::listen_again() {
  if (ended_ || receive_failed_ || receive_op_.in_flight()) return;
  if (tls_) {
    if (input_ended_ || !tls_->input_empty() || receive_op_.done()) return;
    loop_.io().receive(receive_op_, socket_, tls_->room());
    return;
  }
  loop_.io().receive(receive_op_, socket_, buffer_);
}

void Channel::consumed() {
  // More of what came may be told only now.
  const bool full = received_ == buffer_.size();
  received_ = 0;
  listen_again();
  if (!tls_) return;
  const TlsEngine& engine = tls_->engine();
  if (full || !tls_->input_empty() || input_ended_ || engine.ended() || engine.failed()) {
    changed_.notify();
  }
}

void Channel::take_sent(size_t octets) {
  if (tls_) {
    sent_bytes_ += tls_->sent(octets);
    next_piece_ = tls_->whole_pieces();
    return;
  }
  sent_bytes_ += octets;
  while (octets > 0) {
    iovec& piece = pieces_[next_piece_];
    const size_t step = std::min(octets, piece.iov_len);
    piece.iov_base = static_cast<char*>(piece.iov_base) + step;
    piece.iov_len -= step;
    octets -= step;
    if (piece.iov_len == 0) ++next_piece_;
  }
}

void Channel::take_received(const IoResult& result) {
  if (tls_) {
    input_ended_ = !result.ok() || result.value == 0;
    if (!result.ok() && fault_ == IoError::kNone) fault_ = result.error;
    if (input_ended_) return;
    const auto count = static_cast<size_t>(result.value);
    if (in_buffer_) {
      tls_->came(std::string_view(buffer_.data(), count));
    } else {
      tls_->came(count);
    }
    in_buffer_ = false;
  } else if (!result.ok()) {
    receive_failed_ = true;
    if (fault_ == IoError::kNone) fault_ = result.error;
  } else if (result.value == 0) {
    ended_ = true;
  } else {
    received_ = static_cast<size_t>(result.value);
  }
}

void Channel::update() {
  if (send_op_.done()) {
    moved_ = true;
    const IoResult result = send_op_.take();
    if (result.ok()) {
      take_sent(static_cast<size_t>(result.value));
      send_rest();
    } else if (fault_ == IoError::kNone) {
      fault_ = result.error;
    }
  }
  if (receive_op_.done()) {
    moved_ = true;
    take_received(receive_op_.take());
  }
  if (tls_) pull();
}

void Channel::set_deadline(Instant deadline) {
  if (timer_.armed() && timer_.deadline() == deadline) return;
  timer_.arm(loop_.timers(), deadline);
}

Task<> Channel::close() {
  if (socket_ == kNoHandle) co_return;
  set_deadline(kForever);
  if (tls_) say_end();
  loop_.io().cancel(send_op_);
  loop_.io().cancel(receive_op_);
  while (send_op_.in_flight() || receive_op_.in_flight()) co_await changed_;
  // Nothing of this connection is seen by the next one.
  if (send_op_.done()) (void)send_op_.take();
  if (receive_op_.done()) (void)receive_op_.take();
  pieces_.clear();
  next_piece_ = 0;
  rest_timer_.disarm();
  tls_.reset();
  loop_.io().close(socket_);
  socket_ = kNoHandle;
}

}  // namespace sluice
