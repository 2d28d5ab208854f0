#include "tools/sink/uring_worker.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "tools/sink/sockets.h"
#include "tools/sink/uring_connection.h"

namespace sluice::sink {
namespace {

constexpr uint32_t kRingEntries = 4'096;
constexpr uint32_t kCompletionEntries = 32'768;
constexpr uint32_t kBuffers = 64;  // a power of two
constexpr size_t kBufferBytes = 64UL << 10;
constexpr int kBufferGroup = 0;
constexpr uint32_t kAcceptsATurn = 256;

constexpr auto kLinger = std::chrono::seconds(2);
constexpr auto kAcceptPause = std::chrono::milliseconds(100);
constexpr auto kQuiet = std::chrono::milliseconds(250);
constexpr auto kDrainMax = std::chrono::seconds(5);
constexpr auto kIdleWait = std::chrono::seconds(10);

enum class Kind : uint8_t { kListener, kReceive, kSend, kCancel, kWake };

// A completion's name: what it was, of which connection, in which of its lives.
uint64_t name_of(Kind kind, uint32_t generation, uint32_t index) {
  return static_cast<uint64_t>(kind) << 56 | static_cast<uint64_t>(generation & 0xFFFFFF) << 32 |
         index;
}

std::string reason_of(int error) {
  if (error == EPERM || error == ENOSYS) {
    return "; io_uring is forbidden here (seccomp profile, or sysctl kernel.io_uring_disabled)";
  }
  return error == ENOMEM ? "; raise the limit of locked memory (ulimit -l)" : "";
}

}  // namespace

UringWorker::UringWorker(Shared& shared, uint32_t number, std::vector<int> listeners)
    : shared_(shared),
      listeners_(std::move(listeners)),
      faults_(shared.options, shared.first_attempts, number),
      context_{shared.options.session, faults_, *this, {}, nullptr},
      store_(shared.options.store_directory, number),
      log_(shared.log) {
  counts_.hosts.resize(listeners_.size());
}

UringWorker::~UringWorker() {
  stop(false);
  join();
  for (const int fd : listeners_) ::close(fd);
  if (wake_ >= 0) ::close(wake_);
}

Status UringWorker::start(Clock::time_point epoch) {
  epoch_ = epoch;
  if (shared_.options.session.starttls) {
    ASSIGN_OR_RETURN(tls_, TlsServer::make(shared_.options.tls, shared_.tls));
    context_.tls = tls_.get();
  }
  wake_ = ::eventfd(0, EFD_CLOEXEC);
  if (wake_ < 0) return unavailable("cannot make an eventfd: " + std::string(std::strerror(errno)));
  std::promise<Status> started;
  std::future<Status> result = started.get_future();
  thread_ = std::thread([this, &started] { run(started); });
  return result.get();
}

void UringWorker::stop(bool drain) {
  stop_.store(drain ? 1 : 2);
  const uint64_t one = 1;
  if (wake_ >= 0 && ::write(wake_, &one, sizeof one) < 0) stop_.store(2);
}

void UringWorker::join() {
  if (thread_.joinable()) thread_.join();
}

Status UringWorker::open_ring() {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                 IORING_SETUP_TASKRUN_FLAG;
  params.cq_entries = kCompletionEntries;
  int error = -io_uring_queue_init_params(kRingEntries, &ring_, &params);
  if (error != 0) {
    return unavailable("cannot open an io_uring (Linux 6.1 or later is needed): " +
                       std::string(std::strerror(error)) + reason_of(error));
  }
  ring_open_ = true;
  io_uring_register_ring_fd(&ring_);
  void* memory = nullptr;
  if (::posix_memalign(&memory, 4'096, kBuffers * sizeof(io_uring_buf)) != 0) {
    return exhausted("no memory for receive buffers");
  }
  buffer_ring_ = static_cast<io_uring_buf_ring*>(memory);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uintptr_t>(memory);
  registration.ring_entries = kBuffers;
  registration.bgid = kBufferGroup;
  error = -io_uring_register_buf_ring(&ring_, &registration, 0);
  if (error != 0) {
    return unavailable("cannot register receive buffers: " + std::string(std::strerror(error)) +
                       reason_of(error));
  }
  io_uring_buf_ring_init(buffer_ring_);
  buffers_ = std::make_unique<char[]>(kBuffers * kBufferBytes);
  for (uint16_t i = 0; i < kBuffers; ++i) give_back(i);
  return absl::OkStatus();
}

void UringWorker::give_back(uint16_t buffer) {
  io_uring_buf_ring_add(buffer_ring_, &buffers_[buffer * kBufferBytes], kBufferBytes, buffer,
                        static_cast<int>(kBuffers - 1), 0);
  io_uring_buf_ring_advance(buffer_ring_, 1);
}

void UringWorker::run(std::promise<Status>& started) {
  const Status status = open_ring();
  if (status.ok()) {
    now_ = Clock::now();
    for (uint32_t i = 0; i < listeners_.size(); ++i) arm_listener(i);
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_read(sqe, wake_, &wake_value_, sizeof wake_value_, 0);
    io_uring_sqe_set_data64(sqe, name_of(Kind::kWake, 0, 0));
    io_uring_submit(&ring_);
  }
  started.set_value(status);
  while (status.ok() && !finished()) turn();
  log_.flush();
  if (ring_open_) io_uring_queue_exit(&ring_);
  std::free(buffer_ring_);
  buffer_ring_ = nullptr;
}

bool UringWorker::finished() {
  if (stop_.load(std::memory_order_relaxed) == 0) return false;
  if (!stopping_) {
    stopping_ = true;
    last_activity_ = now_;
    stop_deadline_ = now_ + kDrainMax;
  }
  const bool drained = now_ - last_activity_ >= kQuiet || now_ >= stop_deadline_;
  if (stop_.load() == 2 || drained) {
    for (const auto& connection : connections_) {
      if (connection->fd >= 0) begin_close(*connection);
    }
  }
  return open_ == 0;
}

void UringWorker::turn() {
  wait_for_completions();
  now_ = Clock::now();
  now_ms_ = static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now_ - epoch_).count());
  io_uring_cqe* cqe = nullptr;
  unsigned head = 0;
  unsigned count = 0;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    handle(*cqe);
    ++count;
  }
  io_uring_cq_advance(&ring_, count);
  run_due();
  flush();
  log_.flush();
}

void UringWorker::wait_for_completions() {
  Clock::time_point until = now_ + kIdleWait;
  if (!delayed_.empty()) until = std::min(until, delayed_.front().due);
  if (!lingering_.empty()) until = std::min(until, lingering_.front().due);
  if (!paused_listeners_.empty()) until = std::min(until, paused_until_);
  if (stop_.load(std::memory_order_relaxed) != 0) until = std::min(until, now_ + kQuiet / 5);
  const auto span = std::max(Clock::duration(0), until - Clock::now());
  __kernel_timespec timeout{};
  timeout.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(span).count();
  timeout.tv_nsec = (span % std::chrono::seconds(1)).count();
  io_uring_cqe* cqe = nullptr;
  io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &timeout, nullptr);
}

io_uring_sqe* UringWorker::next_sqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  while (sqe == nullptr) {
    io_uring_submit(&ring_);
    sqe = io_uring_get_sqe(&ring_);
  }
  return sqe;
}

UringWorker::Connection* UringWorker::find(uint32_t index, uint32_t generation) {
  if (index >= connections_.size()) return nullptr;
  Connection& connection = *connections_[index];
  const bool same = ((connection.generation ^ generation) & 0xFFFFFF) == 0;
  return same && connection.fd >= 0 ? &connection : nullptr;
}

void UringWorker::handle(const io_uring_cqe& cqe) {
  const Kind kind = static_cast<Kind>(cqe.user_data >> 56);
  const uint32_t generation = static_cast<uint32_t>(cqe.user_data >> 32) & 0xFFFFFF;
  const uint32_t index = static_cast<uint32_t>(cqe.user_data);
  switch (kind) {
    case Kind::kListener:
      return accept_from(index);
    case Kind::kReceive:
    case Kind::kSend: {
      // A connection outlives its operations, so it is found.
      Connection* connection = find(index, generation);
      CHECK(connection != nullptr);
      if (kind == Kind::kReceive) return received(*connection, cqe);
      return sent(*connection, cqe.res);
    }
    case Kind::kCancel:
    case Kind::kWake:
      return;
  }
}

// --- opening -------------------------------------------------------------------------------------

void UringWorker::arm_listener(uint32_t host) {
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_poll_add(sqe, listeners_[host], POLLIN);
  io_uring_sqe_set_data64(sqe, name_of(Kind::kListener, 0, host));
}

void UringWorker::accept_from(uint32_t host) {
  if (stop_.load(std::memory_order_relaxed) != 0) return;
  for (uint32_t i = 0; i < kAcceptsATurn; ++i) {
    // Not non-blocking: the ring would then answer EAGAIN instead of waiting.
    const int fd = ::accept4(listeners_[host], nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) {
      open_connection(fd, host);
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      if (paused_listeners_.empty()) paused_until_ = now_ + kAcceptPause;
      paused_listeners_.push_back(host);
      return;
    }
    if (errno != ECONNABORTED && errno != EINTR) break;
  }
  arm_listener(host);
}

void UringWorker::open_connection(int fd, uint32_t host) {
  ++counts_.hosts[host].connections;
  counts_.hosts[host].connects.add(now_ms_);
  if (!shared_.connections.try_raise(shared_.options.connections_max)) {
    return refuse_connection(fd, host);
  }
  if (!shared_.hosts[host].try_raise(shared_.options.connections_a_host_max)) {
    shared_.connections.lower();
    return refuse_connection(fd, host);
  }
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(connections_.size()));
    connections_.push_back(std::make_unique<Connection>(free_.back()));
  }
  Connection& connection = *connections_[free_.back()];
  free_.pop_back();
  connection.begin(fd, host, context_, shared_.offers_tls(host));
  connection.counted = true;
  connection.number = log_.next_connection();
  note_open(fd, connection.number, host);
  ++open_;
  arm_receive(connection);
  std::string greeting;
  const Next next = connection.conversation->greet(greeting);
  answer(connection, next, greeting);
}

void UringWorker::refuse_connection(int fd, uint32_t host) {
  ++counts_.hosts[host].refused;
  note("refused", log_.next_connection(), host);
  const std::string text =
      "421 4.7.0 " + shared_.options.session.hostname + " Too many connections, try later\r\n";
  // What does not fit into the empty socket buffer is lost with the connection.
  if (::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
    ::shutdown(fd, SHUT_WR);
  }
  ::close(fd);
}

// --- receiving -----------------------------------------------------------------------------------

void UringWorker::arm_receive(Connection& connection) {
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_recv_multishot(sqe, connection.fd, nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = kBufferGroup;
  sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
  io_uring_sqe_set_data64(sqe, name_of(Kind::kReceive, connection.generation, connection.index));
  connection.receiving = true;
}

void UringWorker::received(Connection& connection, const io_uring_cqe& cqe) {
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) connection.receiving = false;
  Next next = Next::kGoOn;
  current_host_ = connection.host;
  current_number_ = connection.number;
  const bool wanted = !connection.over && !connection.closing;
  const bool direct = shared_.options.rtt.count() == 0;
  scratch_.clear();
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    const uint16_t buffer = static_cast<uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    if (cqe.res > 0 && wanted) {
      const size_t size = static_cast<size_t>(cqe.res);
      counts_.received_bytes += size;
      ++counts_.receives;
      next = connection.conversation->feed(std::string_view(&buffers_[buffer * kBufferBytes], size),
                                           direct ? connection.out : scratch_);
    }
    give_back(buffer);
  }
  last_activity_ = now_;
  if (cqe.res > 0) {
    if (direct) {
      if (!connection.out.empty()) mark_dirty(connection);
      apply(connection, next);
    } else {
      answer(connection, next, scratch_);
    }
  } else if (cqe.res == -ENOBUFS) {
    ++counts_.out_of_buffers;
  } else {
    if (wanted) connection.conversation->client_gone();
    if (cqe.res == 0 && !connection.over) {
      // The client has ended; it still gets what it is owed.
      connection.over = true;
      connection.peer_ended = true;
      connection.close_after_send = true;
    } else {
      begin_close(connection);
    }
  }
  if (connection.fd < 0) return;
  if (!connection.receiving && !connection.closing && !connection.peer_ended) {
    arm_receive(connection);
  }
  if (connection.closing) {
    finish_close(connection);
  } else {
    end_if_done(connection);
  }
}

void UringWorker::accept(const Message& message) {
  HostCounts& host = counts_.hosts[current_host_];
  ++host.messages;
  host.series.add(now_ms_);
  note("message", current_number_, current_host_, message.recipients[0], message.tls);
  ++counts_.messages;
  if (!message.tls.empty()) ++counts_.messages_in_tls;
  counts_.recipients += message.recipient_count;
  counts_.content_bytes += message.bytes;
  if (!message.identity.empty()) {
    shared_.identities.add(message.identity);
  } else {
    for (uint32_t i = 0; i < message.recipient_count; ++i) {
      shared_.identities.add(message.recipients[i]);
    }
  }
  if (shared_.options.session.store && !store_.write(message).ok()) ++counts_.store_errors;
  const uint64_t limit = shared_.options.stop_after_messages;
  if (limit > 0 && shared_.messages.fetch_add(1) + 1 == limit) {
    const uint64_t one = 1;
    if (::write(shared_.done_event, &one, sizeof one) < 0) stop_.store(1);
  }
}

void UringWorker::tls_opened(const TlsOpened& session) {
  if (!log_.is_on()) return;
  const std::string more = std::string(session.cipher) +
                           (session.resumed ? " resumed " : " full ") +
                           (session.server_name.empty() ? "-" : escaped(session.server_name));
  note("tls", current_number_, current_host_, session.protocol, more);
}

void UringWorker::tls_failed(std::string_view reason) {
  note("tls-failed", current_number_, current_host_, reason);
}

// --- sending -------------------------------------------------------------------------------------

void UringWorker::answer(Connection& connection, Next next, std::string& replies) {
  if (shared_.options.rtt.count() > 0) {
    if (replies.empty() && next == Next::kGoOn) return;
    if (next != Next::kGoOn) connection.over = true;
    ++connection.delayed;
    delayed_.push_back(Delayed{now_ + shared_.options.rtt, connection.index, connection.generation,
                               next, replies});
    return;
  }
  connection.out += replies;
  if (!connection.out.empty()) mark_dirty(connection);
  apply(connection, next);
}

void UringWorker::apply(Connection& connection, Next next) {
  if (next == Next::kGoOn || connection.closing) return;
  connection.over = true;
  if (next == Next::kReset) {
    const linger hard{1, 0};
    ::setsockopt(connection.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    begin_close(connection);
  } else if (next == Next::kClose) {
    connection.close_after_send = true;
    end_if_done(connection);
  }
}

void UringWorker::mark_dirty(Connection& connection) {
  if (connection.dirty) return;
  connection.dirty = true;
  dirty_.push_back(connection.index);
}

void UringWorker::flush() {
  for (const uint32_t index : dirty_) {
    Connection& connection = *connections_[index];
    connection.dirty = false;
    if (connection.fd < 0 || connection.closing || connection.out.empty()) continue;
    if (connection.sending_now) {
      if (connection.out.size() > kUnreadMax) {
        ++counts_.dropped_unread;
        begin_close(connection);
      }
      continue;
    }
    if (connection.sent_bytes == connection.sending.size()) {
      connection.sending.swap(connection.out);
      connection.out.clear();
      connection.sent_bytes = 0;
    }
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_send(sqe, connection.fd, connection.sending.data() + connection.sent_bytes,
                       connection.sending.size() - connection.sent_bytes, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, name_of(Kind::kSend, connection.generation, index));
    connection.sending_now = true;
    ++counts_.sends;
  }
  dirty_.clear();
}

void UringWorker::sent(Connection& connection, int result) {
  connection.sending_now = false;
  if (result > 0) connection.sent_bytes += static_cast<size_t>(result);
  if (connection.closing) return finish_close(connection);
  if (result <= 0) {
    // The receive side tells what has happened; nothing more can be said.
    connection.out.clear();
    connection.sent_bytes = connection.sending.size();
    connection.over = true;
    return begin_close(connection);
  }
  if (connection.sent_bytes < connection.sending.size()) {
    connection.out.insert(0, connection.sending, connection.sent_bytes);
    connection.sent_bytes = connection.sending.size();
  }
  if (!connection.out.empty()) mark_dirty(connection);
  end_if_done(connection);
}

// --- ending --------------------------------------------------------------------------------------

void UringWorker::end_if_done(Connection& connection) {
  if (!connection.close_after_send || connection.closing || connection.lingers) return;
  if (connection.sending_now || !connection.out.empty() || connection.delayed > 0) return;
  if (connection.peer_ended) return begin_close(connection);
  // Closing with unread input would send a reset, which may overtake the last reply.
  count_out(connection);
  ::shutdown(connection.fd, SHUT_WR);
  connection.lingers = true;
  lingering_.push_back(Lingering{now_ + kLinger, connection.index, connection.generation});
}

// As a server that ends a connection does: from then on it is none of those at a time.
void UringWorker::count_out(Connection& connection) {
  if (!std::exchange(connection.counted, false)) return;
  shared_.hosts[connection.host].lower();
  shared_.connections.lower();
  note("close", connection.number, connection.host);
}

void UringWorker::note(std::string_view kind, uint64_t connection, uint32_t host,
                       std::string_view who, std::string_view tls) {
  if (!log_.is_on()) return;
  log_.add(kind, connection, to_string(shared_.options.listen[host]), who, tls);
}

void UringWorker::note_open(int fd, uint64_t connection, uint32_t host) {
  if (!log_.is_on()) return;
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  void* generic = &storage;
  const bool known = ::getpeername(fd, static_cast<sockaddr*>(generic), &length) == 0;
  note("open", connection, host, known ? to_string(from_kernel(storage)) : "gone");
}

void UringWorker::begin_close(Connection& connection) {
  if (connection.closing) return;
  count_out(connection);
  connection.closing = true;
  connection.over = true;
  if (connection.receiving) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_cancel64(sqe, name_of(Kind::kReceive, connection.generation, connection.index),
                           0);
    io_uring_sqe_set_data64(sqe, name_of(Kind::kCancel, 0, 0));
  }
  if (connection.sending_now) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_cancel64(sqe, name_of(Kind::kSend, connection.generation, connection.index), 0);
    io_uring_sqe_set_data64(sqe, name_of(Kind::kCancel, 0, 0));
  }
  finish_close(connection);
}

void UringWorker::finish_close(Connection& connection) {
  if (connection.fd < 0 || connection.receiving || connection.sending_now) return;
  ::close(connection.fd);
  count_out(connection);
  connection.end();
  free_.push_back(connection.index);
  --open_;
}

void UringWorker::run_due() {
  while (!delayed_.empty() && delayed_.front().due <= now_) {
    const Delayed group = std::move(delayed_.front());
    delayed_.pop_front();
    Connection* connection = find(group.index, group.generation);
    if (connection == nullptr) continue;
    --connection->delayed;
    connection->out += group.replies;
    if (!connection->out.empty()) mark_dirty(*connection);
    apply(*connection, group.next);
    if (connection->fd >= 0) end_if_done(*connection);
  }
  while (!lingering_.empty() && lingering_.front().due <= now_) {
    const Lingering last = lingering_.front();
    lingering_.pop_front();
    Connection* connection = find(last.index, last.generation);
    if (connection != nullptr) begin_close(*connection);
  }
  if (!paused_listeners_.empty() && paused_until_ <= now_) {
    for (const uint32_t host : paused_listeners_) arm_listener(host);
    paused_listeners_.clear();
  }
}

}  // namespace sluice::sink
