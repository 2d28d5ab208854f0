// A connection to an exchanger: octets out, octets in, one deadline.
//
// PURPOSE. Hides how octets travel: plain TCP, or TLS behind the same calls once start_tls() is
// through. It always listens, also while it sends, so that replies are never left unread.
// HOW TO DRIVE IT. dial(); then, until done: look at received(), sending(), fault(),
// deadline_passed(); act; co_await changed(); update(). Last, close().
// TLS. All that is said of octets below is of plain ones. A piece has left once every record that
// has some of it has left: what left in part of a record, the peer cannot read.
// OWNERSHIP. The channel owns its socket, its buffers and the array of pieces; the octets that the
// pieces point at are the caller's and stay until sending() is false. One coroutine drives it.
// THREAD. One shard's.
// ERRORS. dial() gives the IoResult of connecting; later trouble is fault(). A TLS session that
// fails once it is open, or ends without saying so, is a fault as a reset is.
// LIMITS. 2 KiB of receive buffer, under TLS as much again; at most 1,024 pieces a send in clear.
// Everything that waits has the deadline that the caller sets.
// BUGS. Octets that the peer sends after the buffer is full wait in the kernel until consumed().
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/net.h"
#include "engine/connect/tls.h"
#include "engine/connect/tls_carriage.h"
#include "engine/model/tls.h"
#include "engine/ring/loop.h"
#include "engine/ring/operation.h"
#include "engine/ring/task.h"

namespace sluice {

class Channel {
 public:
  explicit Channel(Loop& loop);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  // REQUIRES: closed, or never dialled.
  ~Channel();

  // Connects to `to` from `source` (nothing: the system chooses) and begins to listen. Ends at
  // `deadline` with kTimedOut; a source that cannot be bound gives kAddressUnusable, no descriptor
  // kNoDescriptors. May be called again after a failure.
  Task<IoResult> dial(SocketAddress to, std::optional<IpAddress> source, Instant deadline);
  // Makes a dial() that is under way, and every later one, end soon with kCancelled, and a
  // start_tls() with a failure.
  void stop_dialling();
  bool is_open() const { return socket_ != kNoHandle; }
  const SocketAddress& peer() const { return peer_; }

  // Makes it a TLS session, until `deadline`. Nothing: it is open, and what is sent from now on
  // goes through it. After a failure the channel has a fault: it is good for close() only, and
  // never again sends in clear. What came before the handshake is the caller's to look at: what
  // comes instead of it fails. REQUIRES: is_open(), !sending(), received() is empty, in clear so
  // far.
  Task<std::optional<TlsFailure>> start_tls(std::unique_ptr<TlsEngine> engine, Instant deadline);
  // Null: in clear. It is open() unless start_tls() failed or is not through.
  const TlsEngine* tls() const { return tls_ ? &tls_->engine() : nullptr; }

  // Begins to send; goes on by itself until all has left or a fault. REQUIRES: !sending().
  void send(std::span<const iovec> pieces);
  bool sending() const { return next_piece_ < pieces_.size(); }
  // Octets sent so far: its growth is progress.
  uint64_t sent_bytes() const { return sent_bytes_; }
  // Of the pieces of the last send(), how many have wholly left.
  size_t whole_pieces_sent() const { return next_piece_; }

  // What came and was not consumed yet. Valid until consumed().
  std::string_view received() const { return {buffer_.data(), received_}; }
  // All of received() was dealt with: listen again.
  void consumed();
  // The peer has ended its side; everything before it was received.
  bool ended() const { return ended_; }
  // The first thing that went wrong, told once all that the peer had sent is read: a send may fail
  // while replies still wait.
  IoError fault() const { return ended_ || receive_failed_ ? fault_ : IoError::kNone; }

  // kForever: none.
  void set_deadline(Instant deadline);
  bool deadline_armed() const { return timer_.armed(); }
  bool deadline_passed() const { return timer_.fired(); }

  // Notified when any of the above has changed; others may notify it too.
  Signal& changed() { return changed_; }
  // Takes in what completed. Call after each wait, before looking.
  void update();

  // Gives up what is in flight, waits for it and closes the socket; says the end of a TLS session
  // if that can go at once. Idempotent.
  Task<> close();

 private:
  void listen_again();
  void send_rest();
  void send_records();
  void take_sent(size_t octets);
  void take_received(const IoResult& result);
  void pull();
  void break_off(IoError error);
  void rest_when_quiet();
  void say_end();
  std::optional<TlsFailure> handshake_failure() const;

  Loop& loop_;
  Signal changed_;
  Operation connect_op_{changed_};
  Operation send_op_{changed_};
  Operation receive_op_{changed_};
  Timer timer_{changed_};
  Handle socket_ = kNoHandle;
  SocketAddress peer_;
  std::vector<iovec> pieces_;
  size_t next_piece_ = 0;
  uint64_t sent_bytes_ = 0;
  size_t received_ = 0;
  bool ended_ = false;
  bool receive_failed_ = false;
  bool stop_dialling_ = false;
  IoError fault_ = IoError::kNone;
  std::array<char, 2048> buffer_;

  // Under TLS.
  std::unique_ptr<TlsCarriage> tls_;
  iovec records_{};           // what the kernel has of the engine's
  bool in_buffer_ = false;    // the receive in flight still goes to buffer_
  bool shaking_ = false;      // in start_tls()
  bool input_ended_ = false;  // the socket's, in order or not
  bool moved_ = false;        // something came or went since the timer was armed
  bool rested_ = true;
  Timer rest_timer_{changed_};
};

}  // namespace sluice
