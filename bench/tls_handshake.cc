// Handshakes that a core can make through Channel and OpenSslFactory, beside a bare C loop over the
// same loopback sockets, and the memory of an idle TLS connection.
//
// The server is a process of its own on the other core. Each connection is a handshake with the
// chain and the name checked, an octet each way and an end in order. What is compared is the
// client's own CPU time: with one connection at a time the clock on the wall would show the server.
// Not for: latency, nor many connections at a time.
#include <malloc.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/tls_bare.h"
#include "engine/base/check.h"
#include "engine/connect/channel.h"
#include "engine/connect/tls_openssl.h"
#include "engine/ring/gate.h"
#include "engine/ring/uring_io.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;

double cpu_seconds() {
  rusage used{};
  CHECK(getrusage(RUSAGE_SELF, &used) == 0);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

size_t resident_bytes() {
  FILE* const file = fopen("/proc/self/statm", "re");
  CHECK(file != nullptr);
  size_t total = 0;
  size_t resident = 0;
  CHECK(fscanf(file, "%zu %zu", &total, &resident) == 2);
  CHECK(fclose(file) == 0);
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) std::fprintf(stderr, "not pinned\n");
}

// A process that serves until it is ended.
class Server {
 public:
  Server(bare_identity* identity, bool hold) {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    CHECK(bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0);
    CHECK(listen(listener, 128) == 0);
    CHECK(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    port_ = ntohs(address.sin_port);
    process_ = fork();
    CHECK(process_ >= 0);
    if (process_ == 0) {
      pin(1);
      bare_serve(identity, listener, hold ? 1 : 0);
      _exit(0);
    }
    close(listener);
  }
  ~Server() {
    kill(process_, SIGTERM);
    waitpid(process_, nullptr, 0);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  uint16_t port() const { return port_; }

 private:
  uint16_t port_ = 0;
  pid_t process_ = -1;
};

struct World {
  explicit World(const std::string& roots, size_t tickets_max = 2'048) {
    auto ring = UringIo::create({.operations_max = 16'384, .seed = 1});
    CHECK(ring.ok());
    io = std::move(*ring);
    loop = std::make_unique<Loop>(*io, LoopOptions{});
    scope = std::make_unique<Executor::Scope>(loop->executor());
    auto made = OpenSslFactory::make({.ca_file = roots, .tickets_max = tickets_max});
    CHECK(made.ok());
    factory = std::move(*made);
    demand.server_name = "mx.example.com";
    demand.check = TlsCheck::kNames;
    demand.names = {"mx.example.com"};
  }
  std::unique_ptr<UringIo> io;
  std::unique_ptr<Loop> loop;
  std::unique_ptr<Executor::Scope> scope;
  std::unique_ptr<OpenSslFactory> factory;
  TlsDemand demand;
  uint64_t names_used = 0;
};

Task<> open_one(World& world, Channel& channel, uint16_t port, std::string exchanger) {
  const SocketAddress to{*parse_ip("127.0.0.1"), port};
  const IoResult dialled = co_await channel.dial(to, std::nullopt, world.loop->now() + 5s);
  CHECK(dialled.ok());
  std::unique_ptr<TlsEngine> engine =
      world.factory->connect(world.demand, exchanger, world.loop->now());
  const std::optional<TlsFailure> failure =
      co_await channel.start_tls(std::move(engine), world.loop->now() + 5s);
  CHECK(!failure);
  char octet = 'x';
  const iovec piece{&octet, 1};
  channel.send({&piece, 1});
  while (channel.received().empty()) {
    co_await channel.changed();
    channel.update();
    CHECK(channel.fault() == IoError::kNone);
  }
  channel.consumed();
}

// Tickets that came have made OpenSSL take a buffer that the next octet gives back.
Task<> say_more(Channel& channel) {
  char octet = 'x';
  const iovec piece{&octet, 1};
  channel.send({&piece, 1});
  while (channel.sending()) {
    co_await channel.changed();
    channel.update();
    CHECK(channel.fault() == IoError::kNone);
  }
}

Task<> shake_many(World& world, Channel& channel, uint16_t port, int count, bool resume,
                  int& resumed) {
  for (int i = 0; i < count; ++i) {
    // A name of its own each time: no ticket is found.
    std::string exchanger = resume ? "mx.example.com:25" : std::to_string(world.names_used++);
    co_await open_one(world, channel, port, std::move(exchanger));
    resumed += channel.tls()->facts().resumed ? 1 : 0;
    co_await channel.close();
  }
}

void run(World& world, Task<> task) {
  Gate gate;
  gate.spawn(std::move(task));
  while (gate.inside_count() > 0) world.loop->turn();
  // The socket's closing is submitted: the server waits for it.
  world.loop->turn(world.loop->now());
}

double ours(World& world, uint16_t port, int count, bool resume) {
  Channel channel(*world.loop);
  int resumed = 0;
  const double before = cpu_seconds();
  run(world, shake_many(world, channel, port, count, resume, resumed));
  const double took = cpu_seconds() - before;
  CHECK(resume ? resumed >= count - 1 : resumed == 0);
  return count / took;
}

double bare(bare_client* client, uint16_t port, int count, bool resume) {
  int resumed = 0;
  const double before = cpu_seconds();
  for (int i = 0; i < count; ++i) resumed += bare_shake(client, port, resume ? 1 : 0);
  const double took = cpu_seconds() - before;
  CHECK(resume ? resumed >= count - 1 : resumed == 0);
  return count / took;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void show_handshakes(const std::string& roots, int count, int runs) {
  bare_identity* const identity = bare_identity_new(roots.c_str(), 0);
  const Server server(identity, false);
  pin(0);
  World world(roots);
  bare_client* const client = bare_client_new(roots.c_str());
  for (const bool resume : {false, true}) {
    std::vector<double> mine;
    std::vector<double> theirs;
    (void)ours(world, server.port(), 50, resume);
    (void)bare(client, server.port(), 50, resume);
    for (int i = 0; i < runs; ++i) {
      mine.push_back(ours(world, server.port(), count, resume));
      theirs.push_back(bare(client, server.port(), count, resume));
    }
    std::printf("%s handshakes a CPU second: ours %.0f, bare C loop %.0f: %.0f %%\n",
                resume ? "resumed" : "full", median(mine), median(theirs),
                100 * median(mine) / median(theirs));
  }
}

Task<> wait_for_rest(World& world, Channel& channel) {
  const Instant until = world.loop->now() + 1'500ms;
  channel.set_deadline(until);
  while (!channel.deadline_passed()) {
    co_await channel.changed();
    channel.update();
  }
}

Task<> close_one(Channel& channel) { co_await channel.close(); }

// Resident octets, and of them those that malloc has given out.
struct Memory {
  double resident = 0;
  double used = 0;
};

Memory memory_now() {
  const struct mallinfo2 heap = mallinfo2();
  return {static_cast<double>(resident_bytes()), static_cast<double>(heap.uordblks + heap.hblkhd)};
}

void print_memory(const char* when, const Memory& before, const Memory& now, int count) {
  std::printf("  %-24s %5.1f KiB resident, %5.1f KiB of malloc's\n", when,
              (now.resident - before.resident) / 1024 / count,
              (now.used - before.used) / 1024 / count);
}

// With `resume` every session but the first is a resumed one: all hold the certificates of the
// first. Without, each has its own, and no ticket is kept: the store of tickets is bounded for all
// connections together.
void show_memory(const std::string& roots, int count, bool rsa, bool resume) {
  bare_identity* const identity = bare_identity_new(roots.c_str(), rsa ? 1 : 0);
  const Server server(identity, true);
  World world(roots, resume ? 2'048 : 0);
  std::vector<std::unique_ptr<Channel>> channels;
  const auto open_some = [&](int more) {
    for (int i = 0; i < more; ++i) {
      channels.push_back(std::make_unique<Channel>(*world.loop));
      run(world, open_one(world, *channels.back(), server.port(), "mx.example.com:25"));
      run(world, say_more(*channels.back()));
      CHECK(i == 0 || channels.back()->tls()->facts().resumed == resume);
    }
  };
  // What is allocated once for all is not counted.
  open_some(50);
  const Memory before = memory_now();
  open_some(count);
  const Memory awake = memory_now();
  Gate gate;
  for (const auto& channel : channels) gate.spawn(wait_for_rest(world, *channel));
  while (gate.inside_count() > 0) world.loop->turn();
  const Memory resting = memory_now();
  malloc_trim(0);
  const Memory trimmed = memory_now();
  std::printf("memory a connection, %s, %s handshakes (%d)\n", rsa ? "RSA-2048" : "P-256",
              resume ? "resumed" : "full", count);
  print_memory("in use", before, awake, count);
  print_memory("at rest", before, resting, count);
  print_memory("after malloc_trim", before, trimmed, count);
  for (const auto& channel : channels) gate.spawn(close_one(*channel));
  while (gate.inside_count() > 0) world.loop->turn();
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  const int count = argc > 1 ? atoi(argv[1]) : 1'000;
  const int runs = argc > 2 ? atoi(argv[2]) : 5;
  if (count < 1 || runs < 1) {
    std::fprintf(stderr, "usage: tls_handshake [CONNECTIONS [RUNS]]\n");
    return 64;
  }
  char root_path[] = "/tmp/sluice-bench-XXXXXX";
  const int file = mkstemp(root_path);
  CHECK(file >= 0);
  close(file);
  rlimit files{};
  CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, 65'536);
  CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
  const int held = std::min(count, static_cast<int>(files.rlim_cur) - 100);
  // Each in a process of its own: memory that others gave back would be taken first.
  for (const int which : {0, 1, 2, 3}) {
    const pid_t process = fork();
    CHECK(process >= 0);
    if (process == 0) {
      sluice::show_memory(root_path, held, (which & 1) != 0, (which & 2) != 0);
      std::fflush(stdout);
      _exit(0);
    }
    waitpid(process, nullptr, 0);
  }
  sluice::show_handshakes(root_path, count, runs);
  unlink(root_path);
  return 0;
}
