#include "engine/ring/uring_io.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>

#include "engine/ring/gate.h"
#include "engine/ring/loop.h"
#include "engine/ring/pause.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;

class UringIoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto io = UringIo::create({.operations_max = 64, .seed = 1});
    ASSERT_TRUE(io.ok()) << io.status();
    io_ = std::move(*io);
    loop_ = std::make_unique<Loop>(*io_, LoopOptions{.frame_bytes_max = 1 << 20});
  }
  void spawn(Task<> task) { gate_.spawn(std::move(task)); }
  void run_until(const bool& done) {
    const Instant limit = io_->precise_now() + 10s;
    while (!done && io_->precise_now() < limit) loop_->turn(limit);
    ASSERT_TRUE(done);
    loop_->turn(io_->precise_now());  // lets the spawned frames end
  }

  std::unique_ptr<UringIo> io_;
  std::unique_ptr<Loop> loop_;
  Gate gate_;
};

// What a test's coroutine hands to the kernel: outlives the coroutine.
struct Slot {
  Signal signal;
  Operation op{signal};
  char buffer[64] = {};
  iovec pieces[3] = {};
};

Task<IoResult> finish(Slot& slot) {
  while (!slot.op.done()) co_await slot.signal;
  co_return slot.op.take();
}

iovec piece(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }

Task<> serve_echo(UringIo& io, Handle listener, Slot& slot) {
  io.accept(slot.op, listener);
  const IoResult accepted = co_await finish(slot);
  EXPECT_TRUE(accepted.ok());
  const Handle socket = accepted.value;
  io.receive(slot.op, socket, slot.buffer);
  const IoResult got = co_await finish(slot);
  slot.pieces[0] = {slot.buffer, static_cast<size_t>(got.value)};
  io.send(slot.op, socket, std::span(slot.pieces, 1));
  const IoResult sent = co_await finish(slot);
  EXPECT_EQ(sent.value, got.value);
  io.close(socket);
}

Task<> talk(UringIo& io, SocketAddress to, Slot& slot, std::string& heard, bool& done) {
  const auto socket = io.open_socket({.family = Family::kIpv4, .source = parse_ip("127.0.0.9")});
  EXPECT_TRUE(socket.ok());
  io.connect(slot.op, *socket, to);
  const IoResult connected = co_await finish(slot);
  EXPECT_TRUE(connected.ok());
  slot.pieces[0] = piece("HE");
  slot.pieces[1] = piece("LO ");
  slot.pieces[2] = piece("you");
  io.send(slot.op, *socket, slot.pieces);
  const IoResult sent = co_await finish(slot);
  EXPECT_EQ(sent.value, 8);
  while (true) {
    io.receive(slot.op, *socket, slot.buffer);
    const IoResult got = co_await finish(slot);
    EXPECT_TRUE(got.ok());
    if (got.value == 0) break;
    heard.append(slot.buffer, static_cast<size_t>(got.value));
  }
  io.close(*socket);
  done = true;
}

uint16_t port_of(Handle socket) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  EXPECT_EQ(getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length), 0);
  return ntohs(address.sin_port);
}

TEST_F(UringIoTest, ConnectsSendsGatheredAndReceives) {
  const Executor::Scope scope(loop_->executor());
  const auto listener = io_->open_listener({*parse_ip("127.0.0.1"), 0}, false);
  ASSERT_TRUE(listener.ok());
  Slot server;
  Slot client;
  std::string heard;
  bool done = false;
  spawn(serve_echo(*io_, *listener, server));
  spawn(talk(*io_, {*parse_ip("127.0.0.1"), port_of(*listener)}, client, heard, done));
  run_until(done);
  EXPECT_EQ(heard, "HELO you");
  io_->close(*listener);
}

Task<> expect_refusal(UringIo& io, SocketAddress to, Slot& slot, bool& done) {
  const auto socket = io.open_socket({});
  io.connect(slot.op, *socket, to);
  const IoResult result = co_await finish(slot);
  EXPECT_EQ(result.error, IoError::kRefused);
  io.close(*socket);
  done = true;
}

TEST_F(UringIoTest, NamesARefusal) {
  const Executor::Scope scope(loop_->executor());
  const auto listener = io_->open_listener({*parse_ip("127.0.0.1"), 0}, false);
  const uint16_t port = port_of(*listener);
  io_->close(*listener);
  Slot slot;
  bool done = false;
  spawn(expect_refusal(*io_, {*parse_ip("127.0.0.1"), port}, slot, done));
  run_until(done);
}

Task<> cancel_accept(UringIo& io, Handle listener, Slot& slot, bool& done) {
  io.accept(slot.op, listener);
  co_await yield();
  io.cancel(slot.op);
  const IoResult result = co_await finish(slot);
  EXPECT_EQ(result.error, IoError::kCancelled);
  done = true;
}

TEST_F(UringIoTest, ACancelledOperationCompletesOnce) {
  const Executor::Scope scope(loop_->executor());
  const auto listener = io_->open_listener({*parse_ip("127.0.0.1"), 0}, false);
  Slot slot;
  bool done = false;
  spawn(cancel_accept(*io_, *listener, slot, done));
  run_until(done);
  EXPECT_FALSE(slot.op.in_flight());
  io_->close(*listener);
}

Task<> write_and_read(UringIo& io, std::string path, Slot& slot, bool& done) {
  const auto out = io.open_file(path, OpenMode::kCreate);
  EXPECT_TRUE(out.ok()) << out.status();
  slot.pieces[0] = piece("abc");
  slot.pieces[1] = piece("def");
  io.write(slot.op, *out, std::span(slot.pieces, 2), 0);
  const IoResult written = co_await finish(slot);
  EXPECT_EQ(written.value, 6);
  io.sync(slot.op, *out);
  const IoResult synced = co_await finish(slot);
  EXPECT_TRUE(synced.ok());
  io.close(*out);
  const auto in = io.open_file(path, OpenMode::kRead);
  io.read(slot.op, *in, std::span(slot.buffer, 4), 2);
  const IoResult got = co_await finish(slot);
  EXPECT_EQ(std::string(slot.buffer, static_cast<size_t>(got.value)), "cdef");
  io.close(*in);
  done = true;
}

TEST_F(UringIoTest, FilesAreWrittenSyncedAndRead) {
  const Executor::Scope scope(loop_->executor());
  char folder[] = "/tmp/sluice-ring-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/file";
  Slot slot;
  bool done = false;
  spawn(write_and_read(*io_, path, slot, done));
  run_until(done);
  const auto stat = io_->stat(path);
  ASSERT_TRUE(stat.ok());
  EXPECT_EQ(stat->bytes, 6U);
  EXPECT_FALSE(stat->is_directory);
  EXPECT_EQ(*io_->list(folder), std::vector<std::string>{"file"});
  EXPECT_TRUE(io_->rename(path, path + "2").ok());
  EXPECT_TRUE(io_->remove_file(path + "2").ok());
  EXPECT_TRUE(io_->remove_directory(folder).ok());
  EXPECT_EQ(io_->stat(folder).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(UringIoTest, ASymbolicLinkIsNotFollowed) {
  char folder[] = "/tmp/sluice-ring-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string link = std::string(folder) + "/link";
  ASSERT_EQ(symlink("/etc/passwd", link.c_str()), 0);
  EXPECT_FALSE(io_->open_file(link, OpenMode::kRead).ok());
  EXPECT_TRUE(io_->stat(link)->is_symlink);
  EXPECT_TRUE(io_->remove_file(link).ok());
  EXPECT_TRUE(io_->remove_directory(folder).ok());
}

Task<> pause_for(Pause& pause, Duration duration, bool& done) {
  co_await pause.lasting(duration);
  done = true;
}

TEST_F(UringIoTest, TimersWakeTheLoop) {
  const Executor::Scope scope(loop_->executor());
  Pause pause(*loop_);
  bool done = false;
  const Instant before = io_->precise_now();
  spawn(pause_for(pause, 20ms, done));
  run_until(done);
  EXPECT_GE(io_->precise_now() - before, 20ms);
}

TEST_F(UringIoTest, OtherThreadsPostThroughTheMailbox) {
  int ran = 0;
  std::thread other([this, &ran] {
    for (int i = 0; i < 1000; ++i) {
      while (!loop_->mailbox().post([&ran] { ++ran; })) std::this_thread::yield();
    }
  });
  while (ran < 1000) loop_->turn();
  other.join();
  EXPECT_EQ(ran, 1000);
}

TEST_F(UringIoTest, AFullMailboxRefuses) {
  Mailbox mailbox(*io_, 2);
  EXPECT_TRUE(mailbox.post([] {}));
  EXPECT_TRUE(mailbox.post([] {}));
  EXPECT_FALSE(mailbox.post([] {}));
  EXPECT_EQ(mailbox.run_all(), 2U);
  EXPECT_TRUE(mailbox.post([] {}));
}

// Two rings play ping-pong: each wake-up crosses by MSG_RING.
TEST_F(UringIoTest, RingsWakeEachOther) {
  std::atomic<Loop*> other_loop{nullptr};
  int pongs = 0;
  std::atomic<bool> stop{false};
  std::atomic<bool> posted_last{false};
  std::thread other([&] {
    auto io = UringIo::create({.operations_max = 64, .seed = 2});
    ASSERT_TRUE(io.ok());
    Loop loop(**io, LoopOptions{.frame_bytes_max = 1 << 16});
    other_loop.store(&loop, std::memory_order_release);
    while (!stop.load()) loop.turn();
    // The last post() may still be waking this ring.
    while (!posted_last.load()) std::this_thread::yield();
  });
  while (other_loop.load(std::memory_order_acquire) == nullptr) std::this_thread::yield();
  Loop& far = *other_loop.load();
  for (int round = 1; round <= 200; ++round) {
    ASSERT_TRUE(
        far.mailbox().post([&] { ASSERT_TRUE(loop_->mailbox().post([&pongs] { ++pongs; })); }));
    while (pongs < round) loop_->turn();
  }
  ASSERT_TRUE(far.mailbox().post([&] { stop.store(true); }));
  loop_->turn(io_->precise_now());
  posted_last.store(true);
  other.join();
  EXPECT_EQ(pongs, 200);
}

TEST(RaiseDescriptorLimitTest, NeverLowersAndStopsAtTheHardLimit) {
  const uint64_t before = raise_descriptor_limit(16);
  EXPECT_GE(before, 16U);
  const uint64_t most = raise_descriptor_limit(1ULL << 40);
  EXPECT_GE(most, before);
  EXPECT_EQ(raise_descriptor_limit(16), most);
}

}  // namespace
}  // namespace sluice
