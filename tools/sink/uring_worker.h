// The connection layer of the sink: one thread, one io_uring, many thousands of connections.
//
// Uses liburing directly, not the engine's Io: a receiver wants one multishot receive a connection
// that takes its buffer from a small shared ring only when octets are there. Idle connections so
// hold no buffer, a message of 10 KiB comes in one piece, and what was received is still in the
// cache when it is looked at. A connection is no coroutine: its whole life is in Conversation.
//
// All replies that the input of one turn called forth leave in one send. With an RTT each group
// waits in one queue for all connections (the delay is one constant, so the queue is in order).
//
// Thread: start(), stop(), join() from the main thread; all else on the worker's own.
// Ownership: `shared` outlives it; takes over the listening sockets.
// Errors: start() says why there is no ring. A connection's errors end that connection.
// Limits: kUnreadMax octets of replies that a client does not read; then it is dropped. A closed
//   connection lingers for kLinger, so that the last reply is not lost to a reset.
// BUGS: the 421 of a refused connection is not delayed by the RTT.
#pragma once

#include <liburing.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/status.h"
#include "tools/sink/event_log.h"
#include "tools/sink/ledger.h"
#include "tools/sink/session.h"
#include "tools/sink/store.h"
#include "tools/sink/tls_session.h"

namespace sluice::sink {

class UringWorker : private Recorder {
 public:
  static constexpr size_t kUnreadMax = 1UL << 20;

  UringWorker(Shared& shared, uint32_t number, std::vector<int> listeners);
  UringWorker(const UringWorker&) = delete;
  UringWorker& operator=(const UringWorker&) = delete;
  ~UringWorker() override;

  // Starts the thread; returns when it listens or has failed.
  Status start(std::chrono::steady_clock::time_point epoch);
  // Takes no new connection; with `drain` goes on until nothing has come for a moment.
  void stop(bool drain);
  void join();
  // REQUIRES: joined.
  const WorkerCounts& counts() const { return counts_; }
  const SessionCounts& session_counts() const { return context_.counts; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Connection;
  struct Delayed {
    Clock::time_point due;
    uint32_t index = 0;
    uint32_t generation = 0;
    Next next = Next::kGoOn;
    std::string replies;
  };
  struct Lingering {
    Clock::time_point due;
    uint32_t index = 0;
    uint32_t generation = 0;
  };

  void accept(const Message& message) override;
  void tls_opened(const TlsOpened& session) override;
  void tls_failed(std::string_view reason) override;
  void run(std::promise<Status>& started);
  Status open_ring();
  void turn();
  bool finished();
  void handle(const io_uring_cqe& cqe);
  io_uring_sqe* next_sqe();
  void wait_for_completions();
  void arm_listener(uint32_t host);
  void accept_from(uint32_t host);
  void open_connection(int fd, uint32_t host);
  void refuse_connection(int fd, uint32_t host);
  // A line of the log of events, where one is written.
  void note(std::string_view kind, uint64_t connection, uint32_t host, std::string_view who = {},
            std::string_view tls = {});
  void note_open(int fd, uint64_t connection, uint32_t host);
  void arm_receive(Connection& connection);
  void received(Connection& connection, const io_uring_cqe& cqe);
  void give_back(uint16_t buffer);
  void answer(Connection& connection, Next next, std::string& replies);
  void apply(Connection& connection, Next next);
  void mark_dirty(Connection& connection);
  void flush();
  void sent(Connection& connection, int result);
  void end_if_done(Connection& connection);
  void begin_close(Connection& connection);
  void count_out(Connection& connection);
  void finish_close(Connection& connection);
  void run_due();
  Connection* find(uint32_t index, uint32_t generation);

  Shared& shared_;
  std::vector<int> listeners_;
  WorkerCounts counts_;
  Faults faults_;
  std::unique_ptr<TlsServer> tls_;
  SessionContext context_;
  Store store_;
  EventLog log_;

  io_uring ring_{};
  bool ring_open_ = false;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  std::unique_ptr<char[]> buffers_;
  uint64_t wake_value_ = 0;
  int wake_ = -1;

  Clock::time_point epoch_;
  Clock::time_point now_;
  uint32_t now_ms_ = 0;
  uint32_t current_host_ = 0;
  uint64_t current_number_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> dirty_;
  std::vector<uint32_t> paused_listeners_;
  Clock::time_point paused_until_;
  uint32_t open_ = 0;
  std::deque<Delayed> delayed_;
  std::deque<Lingering> lingering_;
  std::string scratch_;

  std::atomic<int> stop_{0};  // 0: run, 1: drain, 2: now
  bool stopping_ = false;
  Clock::time_point last_activity_;
  Clock::time_point stop_deadline_;
  std::thread thread_;
};

}  // namespace sluice::sink
