#include "engine/ring/uring_io.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "engine/base/digest.h"

namespace sluice {
namespace {

// user_data of requests that are no Operation's.
constexpr uint64_t kWakeData = UINT64_MAX;
constexpr uint64_t kIgnoreData = UINT64_MAX - 1;

constexpr uint32_t kSubmissionEntries = 4'096;

// A receive first looks whether data is there. Waiting for a poll before the first look saves that
// look when, as in SMTP, a reply takes a round trip; helio found it bad for client sockets.
constexpr bool kPollFirst = false;

thread_local UringIo* t_own_ring = nullptr;

Instant read_monotonic() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return Instant(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
}

WallTime read_wall() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return WallTime(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
}

uint64_t seed_of(const UringOptions& options) {
  if (options.seed != 0) return options.seed;
  const std::string bytes = secret_bytes(sizeof(uint64_t));
  uint64_t seed = 0;
  std::memcpy(&seed, bytes.data(), sizeof seed);
  return seed;
}

// Major and minor version of the running kernel.
std::pair<int, int> kernel_version(std::string* text) {
  utsname name{};
  uname(&name);
  *text = name.release;
  int major = 0;
  int minor = 0;
  if (std::sscanf(name.release, "%d.%d", &major, &minor) != 2) return {0, 0};
  return {major, minor};
}

Status explain_set_up(int error) {
  std::string release;
  const auto version = kernel_version(&release);
  if (version < std::pair(6, 1)) {
    return unavailable("this kernel is " + release +
                       "; Sluice needs io_uring of Linux 6.1 or later: install a newer kernel "
                       "(Debian 12 and later have one)");
  }
  switch (error) {
    case EPERM:
    case EACCES:
      return misconfigured(
          "io_uring is forbidden here: set sysctl kernel.io_uring_disabled=0, and in a container "
          "allow io_uring_setup, io_uring_enter and io_uring_register in its seccomp profile");
    case ENOSYS:
      return misconfigured(
          "io_uring is not there: this kernel was built without it, or a seccomp profile hides "
          "it; allow io_uring_setup, io_uring_enter and io_uring_register");
    case ENOMEM:
      return misconfigured(
          "no memory for the ring: raise the limit of locked memory (ulimit -l, LimitMEMLOCK= in "
          "the systemd unit) or lower [engine] max_connections");
    case EMFILE:
    case ENFILE:
      return misconfigured(
          "too many open files: raise ulimit -n (LimitNOFILE= in the systemd unit)");
    default:
      return unavailable(std::string("io_uring cannot be set up: ") + std::strerror(error));
  }
}

}  // namespace

Instant monotonic_now() { return read_monotonic(); }

uint64_t raise_descriptor_limit(uint64_t wanted) {
  rlimit limit{};
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  }
  return limit.rlim_cur;
}

UringIo::UringIo(const UringOptions& options)
    : operations_max_(options.operations_max), random_(seed_of(options)) {
  read_clocks();
}

StatusOr<std::unique_ptr<UringIo>> UringIo::create(const UringOptions& options) {
  std::unique_ptr<UringIo> io(new UringIo(options));
  RETURN_IF_ERROR(io->set_up());
  return io;
}

Status UringIo::set_up() {
  io_uring_params parameters{};
  parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                     IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  // Room for every operation, their cancels and wake-ups: the queue cannot overflow.
  parameters.cq_entries = std::max(2 * operations_max_, 2 * kSubmissionEntries);
  const int error = io_uring_queue_init_params(kSubmissionEntries, &ring_, &parameters);
  if (error < 0) return explain_set_up(-error);
  ring_is_up_ = true;
  if ((parameters.features & IORING_FEAT_EXT_ARG) == 0 ||
      (parameters.features & IORING_FEAT_NODROP) == 0 ||
      (parameters.features & IORING_FEAT_SUBMIT_STABLE) == 0) {
    return unavailable("this kernel's io_uring lacks features of Linux 6.1: install a newer one");
  }
  io_uring_register_ring_fd(&ring_);  // only saves a look-up: failing is no error
  wake_descriptor_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_descriptor_ < 0) return explain_set_up(errno);
  arm_wake_poll();
  t_own_ring = this;
  return {};
}

UringIo::~UringIo() {
  CHECK(in_flight_ == 0);
  if (t_own_ring == this) t_own_ring = nullptr;
  if (ring_is_up_) io_uring_queue_exit(&ring_);
  if (wake_descriptor_ >= 0) ::close(wake_descriptor_);
}

void UringIo::read_clocks() {
  now_ = std::max(now_, read_monotonic());
  wall_now_ = read_wall();
}

Instant UringIo::precise_now() { return read_monotonic(); }

Duration UringIo::cpu_time() {
  timespec used{};
  CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

io_uring_sqe* UringIo::take_sqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  while (sqe == nullptr) {
    ++stats_.enters;
    const int submitted = io_uring_submit(&ring_);
    CHECK(submitted >= 0 || submitted == -EBUSY || submitted == -EINTR || submitted == -EAGAIN);
    sqe = io_uring_get_sqe(&ring_);
  }
  ++stats_.submitted;
  return sqe;
}

UringIo::Slot& UringIo::start(io_uring_sqe* sqe, Operation& op) {
  uint32_t index = free_slot_;
  if (index != kNoSlot) {
    free_slot_ = slot(index).next_free;
  } else {
    CHECK(slots_made_ < operations_max_);
    if (slots_made_ % kChunk == 0) chunks_.push_back(std::make_unique<Slot[]>(kChunk));
    index = slots_made_++;
  }
  Slot& taken = slot(index);
  taken.op = &op;
  const uint64_t id = static_cast<uint64_t>(taken.generation) << 32 | index;
  sqe->user_data = id;
  begin(op, id);
  ++in_flight_;
  return taken;
}

void UringIo::on_completion(uint64_t user_data, int32_t result) {
  ++stats_.completed;
  if (user_data == kIgnoreData) return;
  if (user_data == kWakeData) {
    uint64_t ignored = 0;
    if (result >= 0 && ::read(wake_descriptor_, &ignored, sizeof ignored) < 0) {
      CHECK(errno == EAGAIN);
    }
    arm_wake_poll();
    return;
  }
  const auto index = static_cast<uint32_t>(user_data);
  Slot& ended = slot(index);
  CHECK(ended.op != nullptr && ended.generation == user_data >> 32);
  Operation& op = *std::exchange(ended.op, nullptr);
  if (++ended.generation == UINT32_MAX) ended.generation = 1;
  ended.next_free = free_slot_;
  free_slot_ = index;
  --in_flight_;
  IoResult outcome;
  if (result >= 0) {
    outcome.value = result;
  } else {
    outcome.error = io_error_of(-result);
    outcome.raw_errno = -result;
  }
  complete(op, outcome);
}

void UringIo::reap() {
  constexpr uint32_t kBatch = 256;
  io_uring_cqe* batch[kBatch];
  uint32_t count = 0;
  do {
    count = io_uring_peek_batch_cqe(&ring_, batch, kBatch);
    for (uint32_t i = 0; i < count; ++i) {
      // Copied first: completing may submit, and a debugger cannot read kernel memory.
      const uint64_t user_data = batch[i]->user_data;
      const int32_t result = batch[i]->res;
      on_completion(user_data, result);
    }
    io_uring_cq_advance(&ring_, count);
  } while (count == kBatch);
}

void UringIo::submit_and_wait(Instant until) {
  const Instant before = read_monotonic();
  ++stats_.enters;
  int result = 0;
  if (until <= before) {
    result = io_uring_submit_and_get_events(&ring_);
  } else if (until == kForever) {
    result = io_uring_submit_and_wait(&ring_, 1);
  } else {
    const Duration left = until - before;
    __kernel_timespec timeout{};
    timeout.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(left).count();
    timeout.tv_nsec = (left % std::chrono::seconds(1)).count();
    io_uring_cqe* first = nullptr;
    result = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
  }
  // EBUSY and EAGAIN: completions have to be reaped first; the rest is submitted next time.
  CHECK(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
        result == -EAGAIN);
  read_clocks();
  reap();
  if (io_uring_cq_has_overflow(&ring_)) {
    ++stats_.overflows;
    CHECK(io_uring_get_events(&ring_) >= 0);
    reap();
  }
}

void UringIo::arm_wake_poll() {
  io_uring_sqe* sqe = take_sqe();
  io_uring_prep_poll_add(sqe, wake_descriptor_, POLLIN);
  sqe->user_data = kWakeData;
}

void UringIo::wake() {
  if (t_own_ring == this) return;  // our own thread is awake
  if (t_own_ring != nullptr) {
    // The completion lands in the other ring as one of its own with kIgnoreData; this ring's
    // completion is ignored as well. It leaves with our next turn.
    io_uring_sqe* sqe = t_own_ring->take_sqe();
    io_uring_prep_msg_ring(sqe, ring_.ring_fd, 0, kIgnoreData, 0);
    sqe->user_data = kIgnoreData;
    return;
  }
  const uint64_t one = 1;
  const ssize_t written = ::write(wake_descriptor_, &one, sizeof one);
  CHECK(written == sizeof one || errno == EAGAIN);
}

void UringIo::cancel(Operation& op) {
  if (!op.in_flight()) return;
  io_uring_sqe* sqe = take_sqe();
  io_uring_prep_cancel64(sqe, id_of(op), 0);
  sqe->user_data = kIgnoreData;
}

void UringIo::poll(Operation& op, int descriptor, uint32_t events) {
  io_uring_sqe* sqe = take_sqe();
  io_uring_prep_poll_add(sqe, descriptor, events);
  start(sqe, op);
}

void UringIo::receive(Operation& op, Handle socket, std::span<char> buffer) {
  io_uring_sqe* sqe = take_sqe();
  io_uring_prep_recv(sqe, socket, buffer.data(), buffer.size(), 0);
  if (kPollFirst) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
  start(sqe, op);
}

void UringIo::send(Operation& op, Handle socket, std::span<const iovec> pieces) {
  CHECK(!pieces.empty() && pieces.size() <= 1024);
  io_uring_sqe* sqe = take_sqe();
  if (pieces.size() == 1) {
    io_uring_prep_send(sqe, socket, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
    start(sqe, op);
    return;
  }
  io_uring_prep_sendmsg(sqe, socket, nullptr, MSG_NOSIGNAL);
  Slot& taken = start(sqe, op);
  taken.message = {};
  taken.message.msg_iov = const_cast<iovec*>(pieces.data());
  taken.message.msg_iovlen = pieces.size();
  sqe->addr = reinterpret_cast<uint64_t>(&taken.message);
}

void UringIo::read(Operation& op, Handle file, std::span<char> buffer, uint64_t offset) {
  io_uring_sqe* sqe = take_sqe();
  io_uring_prep_read(sqe, file, buffer.data(), static_cast<uint32_t>(buffer.size()), offset);
  start(sqe, op);
}

void UringIo::write(Operation& op, Handle file, std::span<const iovec> pieces, uint64_t offset) {
  CHECK(!pieces.empty() && pieces.size() <= 1024);
  io_uring_sqe* sqe = take_sqe();
  io_uring_prep_writev(sqe, file, pieces.data(), static_cast<uint32_t>(pieces.size()), offset);
  start(sqe, op);
}

void UringIo::sync(Operation& op, Handle file) {
  io_uring_sqe* sqe = take_sqe();
  io_uring_prep_fsync(sqe, file, IORING_FSYNC_DATASYNC);
  start(sqe, op);
}

}  // namespace sluice
