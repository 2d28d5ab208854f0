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
  CHECK(!sending() && !send_op_.in_flight());
  pieces_.assign(pieces.begin(), pieces.end());
  next_piece_ = 0;
  send_rest();
}

void Channel::send_rest() {
  while (next_piece_ < pieces_.size() && pieces_[next_piece_].iov_len == 0) ++next_piece_;
  if (next_piece_ == pieces_.size() || fault_ != IoError::kNone) return;
  const size_t count = std::min<size_t>(pieces_.size() - next_piece_, 1'024);
  loop_.io().send(send_op_, socket_, std::span(pieces_).subspan(next_piece_, count));
}

void Channel::listen_again() {
  if (ended_ || receive_failed_ || receive_op_.in_flight()) return;
  loop_.io().receive(receive_op_, socket_, buffer_);
}

void Channel::consumed() {
  received_ = 0;
  listen_again();
}

void Channel::update() {
  if (send_op_.done()) {
    const IoResult result = send_op_.take();
    if (result.ok()) {
      auto left = static_cast<size_t>(result.value);
      sent_bytes_ += left;
      while (left > 0) {
        iovec& piece = pieces_[next_piece_];
        const size_t step = std::min(left, piece.iov_len);
        piece.iov_base = static_cast<char*>(piece.iov_base) + step;
        piece.iov_len -= step;
        left -= step;
        if (piece.iov_len == 0) ++next_piece_;
      }
      send_rest();
    } else if (fault_ == IoError::kNone) {
      fault_ = result.error;
    }
  }
  if (receive_op_.done()) {
    const IoResult result = receive_op_.take();
    if (!result.ok()) {
      receive_failed_ = true;
      if (fault_ == IoError::kNone) fault_ = result.error;
    } else if (result.value == 0) {
      ended_ = true;
    } else {
      received_ = static_cast<size_t>(result.value);
    }
  }
}

void Channel::set_deadline(Instant deadline) {
  if (timer_.armed() && timer_.deadline() == deadline) return;
  timer_.arm(loop_.timers(), deadline);
}

Task<> Channel::close() {
  if (socket_ == kNoHandle) co_return;
  set_deadline(kForever);
  loop_.io().cancel(send_op_);
  loop_.io().cancel(receive_op_);
  while (send_op_.in_flight() || receive_op_.in_flight()) co_await changed_;
  // Nothing of this connection is seen by the next one.
  if (send_op_.done()) (void)send_op_.take();
  if (receive_op_.done()) (void)receive_op_.take();
  pieces_.clear();
  next_piece_ = 0;
  loop_.io().close(socket_);
  socket_ = kNoHandle;
}

}  // namespace sluice
