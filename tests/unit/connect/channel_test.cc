#include "engine/connect/channel.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "engine/ring/gate.h"
#include "engine/ring/uring_io.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;

// A listening socket on loopback that a thread of the test serves by plain calls.
class Peer {
 public:
  Peer() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    at_ = {*parse_ip("127.0.0.1"), ntohs(address.sin_port)};
  }
  ~Peer() {
    if (thread_.joinable()) thread_.join();
    ::close(listener_);
  }
  void serve(void (*talk)(int)) {
    thread_ = std::thread([this, talk] {
      const int socket = accept(listener_, nullptr, nullptr);
      talk(socket);
      ::close(socket);
    });
  }
  SocketAddress at() const { return at_; }
  int listener() const { return listener_; }

 private:
  int listener_ = -1;
  SocketAddress at_;
  std::thread thread_;
};

class ChannelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto io = UringIo::create({.operations_max = 64, .seed = 1});
    ASSERT_TRUE(io.ok()) << io.status();
    io_ = std::move(*io);
    loop_ = std::make_unique<Loop>(*io_, LoopOptions{.frame_bytes_max = 1 << 20});
    scope_ = std::make_unique<Executor::Scope>(loop_->executor());
  }
  void run(Task<> task) {
    gate_.spawn(std::move(task));
    const Instant limit = io_->precise_now() + 10s;
    while (gate_.inside_count() > 0 && io_->precise_now() < limit) loop_->turn(limit);
    ASSERT_EQ(gate_.inside_count(), 0U);
  }

  std::unique_ptr<UringIo> io_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Executor::Scope> scope_;
  Gate gate_;
};

Task<> talk_to_echo(Loop& loop, Channel& channel, SocketAddress to, std::string& heard) {
  const IoResult dialled = co_await channel.dial(to, std::nullopt, loop.now() + 5s);
  EXPECT_TRUE(dialled.ok());
  std::string big(3'000'000, 'x');
  iovec pieces[2] = {{big.data(), 1'000'000}, {big.data() + 1'000'000, 2'000'000}};
  channel.send(pieces);
  while (!channel.ended()) {
    co_await channel.changed();
    channel.update();
    heard += channel.received();
    if (!channel.received().empty()) channel.consumed();
  }
  EXPECT_FALSE(channel.sending());
  EXPECT_EQ(channel.sent_bytes(), 3'000'000U);
  EXPECT_EQ(channel.fault(), IoError::kNone);
  co_await channel.close();
  EXPECT_FALSE(channel.is_open());
}

// The peer answers while it still reads: neither side waits for the other.
TEST_F(ChannelTest, ReadsWhileItSends) {
  Peer peer;
  peer.serve([](int socket) {
    char buffer[65536];
    size_t got = 0;
    while (got < 3'000'000) {
      const ssize_t n = recv(socket, buffer, sizeof buffer, 0);
      if (n <= 0) return;
      got += static_cast<size_t>(n);
      (void)!::send(socket, "ok", 2, MSG_NOSIGNAL);
    }
    (void)!::send(socket, "end", 3, MSG_NOSIGNAL);
  });
  Channel channel(*loop_);
  std::string heard;
  run(talk_to_echo(*loop_, channel, peer.at(), heard));
  EXPECT_TRUE(heard.starts_with("ok"));
  EXPECT_TRUE(heard.ends_with("okend"));
}

Task<> expect_dial(Loop& loop, Channel& channel, SocketAddress to, IoError error) {
  const IoResult dialled = co_await channel.dial(to, std::nullopt, loop.now() + 50ms);
  EXPECT_EQ(dialled.error, error);
  EXPECT_FALSE(channel.is_open());
}

TEST_F(ChannelTest, TellsARefusalFromATimeOut) {
  Channel channel(*loop_);
  SocketAddress nobody;
  {
    const Peer gone;
    nobody = gone.at();
  }
  run(expect_dial(*loop_, channel, nobody, IoError::kRefused));

  // A listener whose queue is full and not accepted from does not answer.
  Peer deaf;
  ASSERT_EQ(listen(deaf.listener(), 0), 0);
  std::vector<int> fillers;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(deaf.at().port);
  for (int i = 0; i < 4; ++i) {
    fillers.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    (void)connect(fillers.back(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  run(expect_dial(*loop_, channel, deaf.at(), IoError::kTimedOut));
  for (const int filler : fillers) ::close(filler);
}

Task<> wait_for_deadline(Loop& loop, Channel& channel, SocketAddress to, bool& passed) {
  const IoResult dialled = co_await channel.dial(to, std::nullopt, loop.now() + 5s);
  EXPECT_TRUE(dialled.ok());
  channel.set_deadline(loop.now() + 10ms);
  co_await channel.changed();
  channel.update();
  passed = channel.deadline_passed();
  co_await channel.close();
}

TEST_F(ChannelTest, ADeadlineIsNoticedAndASilentConnectionCanBeClosed) {
  Peer peer;
  Channel channel(*loop_);
  bool passed = false;
  run(wait_for_deadline(*loop_, channel, peer.at(), passed));
  EXPECT_TRUE(passed);
}

Task<> expect_reset(Loop& loop, Channel& channel, SocketAddress to, std::string& heard) {
  const IoResult dialled = co_await channel.dial(to, std::nullopt, loop.now() + 5s);
  EXPECT_TRUE(dialled.ok());
  while (channel.fault() == IoError::kNone && !channel.ended()) {
    co_await channel.changed();
    channel.update();
    heard += channel.received();
    if (!channel.received().empty()) channel.consumed();
  }
  EXPECT_EQ(channel.fault(), IoError::kReset);
  co_await channel.close();
}

TEST_F(ChannelTest, AResetIsAFault) {
  Peer peer;
  peer.serve([](int socket) {
    const linger hard{1, 0};
    setsockopt(socket, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  });
  Channel channel(*loop_);
  std::string heard;
  run(expect_reset(*loop_, channel, peer.at(), heard));
}

}  // namespace
}  // namespace sluice
