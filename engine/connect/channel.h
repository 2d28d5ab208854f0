// A connection to an exchanger: octets out, octets in, one deadline.
//
// PURPOSE. Hides how octets travel: today plain TCP, later TLS as bytes in, bytes out behind the
// same calls. It always listens, also while it sends, so that replies are never left unread.
// HOW TO DRIVE IT. dial(); then, until done: look at received(), sending(), fault(),
// deadline_passed(); act; co_await changed(); update(). Last, close().
// OWNERSHIP. The channel owns its socket, its buffers and the array of pieces; the octets that the
// pieces point at are the caller's and stay until sending() is false. One coroutine drives it.
// THREAD. One shard's.
// ERRORS. dial() gives the IoResult of connecting; later trouble is fault().
// LIMITS. 2 KiB of receive buffer; at most 1,024 pieces a send. Everything that waits has the
// deadline that the caller sets.
// BUGS. Octets that the peer sends after the buffer is full wait in the kernel until consumed().
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/net.h"
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
  // Makes a dial() that is under way, and every later one, end soon with kCancelled.
  void stop_dialling();
  bool is_open() const { return socket_ != kNoHandle; }
  const SocketAddress& peer() const { return peer_; }

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

  // Gives up what is in flight, waits for it and closes the socket. Idempotent.
  Task<> close();

 private:
  void listen_again();
  void send_rest();

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
};

}  // namespace sluice
