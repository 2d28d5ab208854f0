// The kernel's io_uring (6.1 or later) and liburing 2.3, with the flags that engine/ring uses.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <liburing.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <thread>

namespace sluice {
namespace {

constexpr unsigned kFlags =
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;

class Ring {
 public:
  explicit Ring(unsigned entries = 8, unsigned flags = kFlags) {
    const int result = io_uring_queue_init(entries, &ring_, flags);
    EXPECT_EQ(result, 0) << std::strerror(-result);
  }
  ~Ring() { io_uring_queue_exit(&ring_); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  io_uring* raw() { return &ring_; }
  io_uring_sqe* next(uint64_t user_data) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    EXPECT_NE(sqe, nullptr);
    sqe->user_data = user_data;
    return sqe;
  }
  // As the preparing functions leave user_data alone in 2.3, it may be set before them or after.
  void submit() { EXPECT_GE(io_uring_submit(&ring_), 0); }
  // Runs deferred work without waiting.
  void enter() { EXPECT_GE(io_uring_get_events(&ring_), 0); }
  unsigned ready() { return io_uring_cq_ready(&ring_); }
  // Waits for `count` completions: user_data -> result.
  std::map<uint64_t, int> wait(unsigned count) {
    std::map<uint64_t, int> results;
    while (results.size() < count) {
      io_uring_cqe* cqe = nullptr;
      __kernel_timespec limit{};
      limit.tv_sec = 10;
      if (io_uring_wait_cqe_timeout(&ring_, &cqe, &limit) != 0) {
        ADD_FAILURE() << "only " << results.size() << " of " << count << " completions";
        return results;
      }
      results[cqe->user_data] = cqe->res;
      io_uring_cqe_seen(&ring_, cqe);
    }
    return results;
  }

 private:
  io_uring ring_{};
};

struct Pair {
  Pair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0); }
  ~Pair() {
    for (const int fd : fds) {
      if (fd >= 0) close(fd);
    }
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  void close_one(int which) {
    close(fds[which]);
    fds[which] = -1;
  }
  int fds[2] = {-1, -1};
};

TEST(UringProbe, DeferredCompletionsAppearOnlyByEntering) {
  Ring ring;
  Pair pair;
  char buffer[8];
  io_uring_prep_recv(ring.next(1), pair.fds[0], buffer, sizeof buffer, 0);
  ring.submit();
  ASSERT_EQ(write(pair.fds[1], "x", 1), 1);
  EXPECT_EQ(ring.ready(), 0U);
  // TASKRUN_FLAG tells that something waits, and makes 2.3's peek functions enter.
  EXPECT_NE(*ring.raw()->sq.kflags & IORING_SQ_TASKRUN, 0U);
  ring.enter();
  EXPECT_EQ(ring.ready(), 1U);
  EXPECT_EQ(ring.wait(1)[1], 1);
}

TEST(UringProbe, OtherThreadsMayNotSubmit) {
  Ring ring;
  ring.next(1)->opcode = IORING_OP_NOP;
  int result = 0;
  std::thread([&] { result = io_uring_submit(ring.raw()); }).join();
  EXPECT_EQ(result, -EEXIST);
}

TEST(UringProbe, ACancelledOperationCompletesItself) {
  Ring ring;
  Pair pair;
  char buffer[8];
  io_uring_prep_recv(ring.next(1), pair.fds[0], buffer, sizeof buffer, 0);
  ring.submit();
  io_uring_prep_cancel64(ring.next(2), 1, 0);
  ring.submit();
  const auto results = ring.wait(2);
  EXPECT_EQ(results.at(1), -ECANCELED);
  EXPECT_EQ(results.at(2), 0);
  // Nothing is left to cancel.
  io_uring_prep_cancel64(ring.next(3), 1, 0);
  ring.submit();
  EXPECT_EQ(ring.wait(1).at(3), -ENOENT);
}

TEST(UringProbe, CancellingByDescriptorEndsAllOfIt) {
  Ring ring;
  Pair pair;
  char buffer[8];
  io_uring_prep_recv(ring.next(1), pair.fds[0], buffer, sizeof buffer, 0);
  io_uring_prep_poll_add(ring.next(2), pair.fds[0], 1);
  ring.submit();
  io_uring_sqe* cancel = ring.next(3);
  io_uring_prep_cancel_fd(cancel, pair.fds[0], IORING_ASYNC_CANCEL_ALL);
  ring.submit();
  const auto results = ring.wait(3);
  EXPECT_EQ(results.at(1), -ECANCELED);
  EXPECT_EQ(results.at(2), -ECANCELED);
  EXPECT_EQ(results.at(3), 2);
}

TEST(UringProbe, ClosingADescriptorDoesNotEndWhatWaitsOnIt) {
  Ring ring;
  Pair pair;
  char buffer[8];
  io_uring_prep_recv(ring.next(1), pair.fds[0], buffer, sizeof buffer, 0);
  ring.submit();
  pair.close_one(0);
  ring.enter();
  EXPECT_EQ(ring.ready(), 0U);
  // The request holds the socket: it even still receives.
  ASSERT_EQ(write(pair.fds[1], "late", 4), 4);
  EXPECT_EQ(ring.wait(1).at(1), 4);
}

TEST(UringProbe, MsgRingWakesAnotherThreadsRing) {
  std::atomic<int> ring_fd{-1};
  std::map<uint64_t, int> received;
  std::thread sleeper([&] {
    Ring ring;
    ring_fd.store(ring.raw()->ring_fd);
    received = ring.wait(1);
  });
  while (ring_fd.load() < 0) std::this_thread::yield();
  Ring sender;
  io_uring_prep_msg_ring(sender.next(5), ring_fd.load(), 77, 1234, 0);
  sender.submit();
  EXPECT_EQ(sender.wait(1).at(5), 0);
  sleeper.join();
  EXPECT_EQ(received.at(1234), 77);
}

TEST(UringProbe, GetSqeKeepsOldUserData) {
  Ring ring(2);
  const unsigned entries = ring.raw()->sq.ring_entries;
  for (unsigned i = 0; i < entries; ++i) {
    io_uring_prep_nop(ring.next(100 + i));
    ring.submit();
    EXPECT_EQ(ring.wait(1).size(), 1U);
  }
  // The first slot again: whoever forgets to set user_data sends the old one.
  io_uring_sqe* again = io_uring_get_sqe(ring.raw());
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->user_data, 100U);
  io_uring_prep_nop(again);
  EXPECT_EQ(again->user_data, 100U);
  again->user_data = 5;
  ring.submit();
  EXPECT_TRUE(ring.wait(1).contains(5));
}

TEST(UringProbe, AFullSubmissionQueueGivesNoEntry) {
  Ring ring(2);
  const unsigned entries = ring.raw()->sq.ring_entries;
  for (unsigned i = 0; i < entries; ++i) io_uring_prep_nop(ring.next(i));
  EXPECT_EQ(io_uring_get_sqe(ring.raw()), nullptr);
  ring.submit();
  EXPECT_NE(io_uring_get_sqe(ring.raw()), nullptr);
}

class Address {
 public:
  explicit Address(uint16_t port = 0) {
    raw_.sin_family = AF_INET;
    raw_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    raw_.sin_port = htons(port);
  }
  void* raw() { return &raw_; }
  sockaddr* generic() { return static_cast<sockaddr*>(raw()); }
  socklen_t size() const { return sizeof raw_; }

 private:
  sockaddr_in raw_{};
};

TEST(UringProbe, ConnectingToAPortWithoutListenerIsRefused) {
  Ring ring;
  // Bound and not listening: the port is nobody else's.
  const int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Address address;
  ASSERT_EQ(bind(holder, address.generic(), address.size()), 0);
  socklen_t size = address.size();
  ASSERT_EQ(getsockname(holder, address.generic(), &size), 0);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  io_uring_prep_connect(ring.next(1), fd, address.generic(), address.size());
  ring.submit();
  EXPECT_EQ(ring.wait(1).at(1), -ECONNREFUSED);
  close(fd);
  close(holder);
}

TEST(UringProbe, ReceivingAfterThePeersEndGivesZero) {
  Ring ring;
  Pair pair;
  char buffer[8];
  io_uring_prep_recv(ring.next(1), pair.fds[0], buffer, sizeof buffer, 0);
  ring.submit();
  pair.close_one(1);
  EXPECT_EQ(ring.wait(1).at(1), 0);
}

TEST(UringProbe, TheKernelHasWhatWeAskFor) {
  Ring ring;
  const unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_SUBMIT_STABLE;
  EXPECT_EQ(ring.raw()->features & needed, needed);
  io_uring_probe* probe = io_uring_get_probe_ring(ring.raw());
  ASSERT_NE(probe, nullptr);
  for (const int opcode :
       {IORING_OP_CONNECT, IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_SENDMSG, IORING_OP_WRITEV,
        IORING_OP_FSYNC, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_MSG_RING}) {
    EXPECT_NE(io_uring_opcode_supported(probe, opcode), 0) << opcode;
  }
  io_uring_free_probe(probe);
}

}  // namespace
}  // namespace sluice
