#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "engine/connect/channel.h"
#include "engine/ring/gate.h"
#include "engine/ring/uring_io.h"
#include "tests/unit/connect/tls_pair.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using namespace tls_test;

// Serves one connection on loopback in a thread of its own.
class Peer {
 public:
  explicit Peer(std::function<void(int)> talk) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    at_ = {*parse_ip("127.0.0.1"), ntohs(address.sin_port)};
    thread_ = std::thread([this, talk = std::move(talk)] {
      const int socket = accept(listener_, nullptr, nullptr);
      const timeval limit{10, 0};
      setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      talk(socket);
      ::close(socket);
    });
  }
  ~Peer() {
    finish();
    ::close(listener_);
  }
  // What it saw may be looked at.
  void finish() {
    if (thread_.joinable()) thread_.join();
  }
  SocketAddress at() const { return at_; }

 private:
  int listener_ = -1;
  SocketAddress at_;
  std::thread thread_;
};

// Counts rest() of the engine within.
class RestingEngine : public TlsEngine {
 public:
  RestingEngine(std::unique_ptr<TlsEngine> engine, int& rests)
      : engine_(std::move(engine)), rests_(rests) {}
  size_t receive(std::string_view octets) override { return engine_->receive(octets); }
  void receive_end() override { engine_->receive_end(); }
  bool open() const override { return engine_->open(); }
  bool ended() const override { return engine_->ended(); }
  bool failed() const override { return engine_->failed(); }
  const TlsFailure& failure() const override { return engine_->failure(); }
  const TlsFacts& facts() const override { return engine_->facts(); }
  size_t read(std::span<char> out) override { return engine_->read(out); }
  size_t write(std::span<const iovec> pieces) override { return engine_->write(pieces); }
  void end() override { engine_->end(); }
  std::string_view outgoing() const override { return engine_->outgoing(); }
  void sent(size_t octets) override { engine_->sent(octets); }
  void rest() override {
    ++rests_;
    engine_->rest();
  }

 private:
  std::unique_ptr<TlsEngine> engine_;
  int& rests_;
};

class ChannelTlsTest : public ::testing::Test {
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
  std::unique_ptr<TlsEngine> engine(TlsCheck check = TlsCheck::kNames) {
    return factory_->connect(demand_of(check), kExchanger, loop_->now());
  }
  // A TLS session on the server's side, once it is open.
  Session accept_tls(int socket) {
    Session session(SSL_new(context_.get()));
    SSL_set_fd(session.get(), socket);
    EXPECT_EQ(SSL_accept(session.get()), 1);
    return session;
  }

  Authority authority_;
  Identity identity_ = authority_.server({});
  Context context_ = authority_.context(identity_);
  std::unique_ptr<OpenSslFactory> factory_ = authority_.factory();
  std::unique_ptr<UringIo> io_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Executor::Scope> scope_;
  Gate gate_;
};

struct Talk {
  std::string text;            // to be said
  std::string heard = {};      // until the peer ends
  std::string protocol = {};   // of the session
  size_t consumed_at_end = 0;  // pieces that left
  uint64_t sent = 0;
  IoError fault = IoError::kNone;
  int* rests = nullptr;  // wait for one before speaking
  std::optional<TlsFailure> failure = {};
};

Task<> talk(Loop& loop, Channel& channel, SocketAddress to, std::unique_ptr<TlsEngine> engine,
            Duration patience, Talk& talk) {
  const IoResult dialled = co_await channel.dial(to, std::nullopt, loop.now() + 5s);
  EXPECT_TRUE(dialled.ok());
  EXPECT_EQ(channel.tls(), nullptr);
  talk.failure = co_await channel.start_tls(std::move(engine), loop.now() + patience);
  while (talk.rests != nullptr && *talk.rests == 0) {
    co_await channel.changed();
    channel.update();
  }
  if (!talk.failure) talk.protocol = channel.tls()->facts().protocol;
  const size_t third = talk.text.size() / 3;
  iovec pieces[3] = {{talk.text.data(), third},
                     {talk.text.data() + third, 0},
                     {talk.text.data() + third, talk.text.size() - third}};
  channel.send(pieces);
  while (!channel.ended() && channel.fault() == IoError::kNone) {
    co_await channel.changed();
    channel.update();
    talk.heard += channel.received();
    if (!channel.received().empty()) channel.consumed();
  }
  talk.fault = channel.fault();
  talk.consumed_at_end = channel.whole_pieces_sent();
  talk.sent = channel.sent_bytes();
  co_await channel.close();
  EXPECT_EQ(channel.tls(), nullptr);
}

TEST_F(ChannelTlsTest, ReadsWhileItSends) {
  constexpr size_t kOctets = 3'000'000;
  std::string heard;
  bool ended_in_order = false;
  Peer peer([&](int socket) {
    const Session session = accept_tls(socket);
    char buffer[16'384];
    while (heard.size() < kOctets) {
      const int got = SSL_read(session.get(), buffer, sizeof buffer);
      if (got <= 0) return;
      heard.append(buffer, static_cast<size_t>(got));
      EXPECT_EQ(SSL_write(session.get(), "ok", 2), 2);
    }
    const std::string last(50'000, 'l');
    EXPECT_EQ(SSL_write(session.get(), last.data(), 50'000), 50'000);
    SSL_shutdown(session.get());
    ended_in_order = SSL_read(session.get(), buffer, sizeof buffer) == 0 &&
                     (SSL_get_shutdown(session.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  });
  Talk said;
  for (size_t i = 0; i < kOctets; ++i) said.text += static_cast<char>('a' + i % 23);
  {
    Channel channel(*loop_);
    run(talk(*loop_, channel, peer.at(), engine(), 5s, said));
  }
  peer.finish();
  EXPECT_FALSE(said.failure.has_value());
  EXPECT_EQ(said.protocol, "TLSv1.3");
  EXPECT_EQ(said.fault, IoError::kNone);
  EXPECT_EQ(said.consumed_at_end, 3U);
  EXPECT_EQ(said.sent, kOctets);
  EXPECT_TRUE(said.heard.starts_with("okok"));
  EXPECT_TRUE(said.heard.ends_with("k" + std::string(50'000, 'l')));
  EXPECT_TRUE(heard == said.text);
  EXPECT_TRUE(ended_in_order);
}

TEST_F(ChannelTlsTest, AnEndThatIsNotSaidIsAFault) {
  Peer peer([&](int socket) {
    const Session session = accept_tls(socket);
    char buffer[16];
    EXPECT_EQ(SSL_read(session.get(), buffer, sizeof buffer), 6);
    EXPECT_EQ(SSL_write(session.get(), "250 ok\r\n", 8), 8);
    shutdown(socket, SHUT_WR);
    while (recv(socket, buffer, sizeof buffer, 0) > 0) continue;
  });
  Talk said{.text = "QUIT\r\n"};
  Channel channel(*loop_);
  run(talk(*loop_, channel, peer.at(), engine(), 5s, said));
  EXPECT_EQ(said.heard, "250 ok\r\n");
  EXPECT_EQ(said.fault, IoError::kReset);
}

TEST_F(ChannelTlsTest, ATamperedRecordIsAFault) {
  Peer peer([&](int socket) {
    const Session session = accept_tls(socket);
    char buffer[16];
    EXPECT_EQ(SSL_read(session.get(), buffer, sizeof buffer), 6);
    const char record[] = "\x17\x03\x03\x00\x20 as long as it says, but no such";
    (void)!::send(socket, record, sizeof record - 1, MSG_NOSIGNAL);
    while (recv(socket, buffer, sizeof buffer, 0) > 0) continue;
  });
  Talk said{.text = "NOOP\r\n"};
  Channel channel(*loop_);
  run(talk(*loop_, channel, peer.at(), engine(), 5s, said));
  EXPECT_EQ(said.heard, "");
  EXPECT_EQ(said.fault, IoError::kReset);
}

TEST_F(ChannelTlsTest, NothingLeavesInClearAfterAFailure) {
  std::string heard;
  Peer peer([&](int socket) {
    const char text[] = "250 and so we go on in clear\r\n";
    (void)!::send(socket, text, sizeof text - 1, MSG_NOSIGNAL);
    char buffer[4'096];
    for (ssize_t got = 1; got > 0;) {
      got = recv(socket, buffer, sizeof buffer, 0);
      if (got > 0) heard.append(buffer, static_cast<size_t>(got));
    }
  });
  Talk said{.text = std::string(100, 's')};
  {
    Channel channel(*loop_);
    run(talk(*loop_, channel, peer.at(), engine(TlsCheck::kNone), 5s, said));
  }
  peer.finish();
  ASSERT_TRUE(said.failure.has_value());
  EXPECT_EQ(said.failure->kind, TlsFailureKind::kHandshake);
  EXPECT_EQ(said.failure->text, "wrong version number");
  EXPECT_NE(said.fault, IoError::kNone);
  EXPECT_EQ(said.consumed_at_end, 0U);
  EXPECT_EQ(said.sent, 0U);
  EXPECT_EQ(heard.find("ssssssss"), std::string::npos);
}

TEST_F(ChannelTlsTest, WhoIsNotTrustedIsToldSoAndGetsNothing) {
  const Identity stranger = make_identity({}, nullptr);
  context_ = make_server(stranger, {});
  std::string reason;
  Peer peer([&](int socket) {
    const Session session(SSL_new(context_.get()));
    SSL_set_fd(session.get(), socket);
    char buffer[16];
    if (SSL_accept(session.get()) == 1) (void)SSL_read(session.get(), buffer, sizeof buffer);
    const char* const text = ERR_reason_error_string(ERR_peek_error());
    reason = text == nullptr ? "" : text;
  });
  Talk said{.text = std::string(100, 's')};
  {
    Channel channel(*loop_);
    run(talk(*loop_, channel, peer.at(), engine(), 5s, said));
  }
  peer.finish();
  ASSERT_TRUE(said.failure.has_value());
  EXPECT_EQ(said.failure->kind, TlsFailureKind::kNotTrusted);
  EXPECT_EQ(said.sent, 0U);
  EXPECT_NE(reason.find("alert"), std::string::npos) << reason;
}

TEST_F(ChannelTlsTest, ASilentServerTimesOutAndOneThatGoesIsTold) {
  {
    const Peer silent([](int socket) {
      char buffer[4'096];
      while (recv(socket, buffer, sizeof buffer, 0) > 0) continue;
    });
    Talk said;
    Channel channel(*loop_);
    run(talk(*loop_, channel, silent.at(), engine(), 20ms, said));
    ASSERT_TRUE(said.failure.has_value());
    EXPECT_EQ(said.failure->kind, TlsFailureKind::kTimedOut);
  }
  const Peer gone([](int socket) {
    char buffer[4'096];
    (void)!recv(socket, buffer, sizeof buffer, 0);
  });
  Talk said;
  Channel channel(*loop_);
  run(talk(*loop_, channel, gone.at(), engine(), 5s, said));
  ASSERT_TRUE(said.failure.has_value());
  EXPECT_EQ(said.failure->kind, TlsFailureKind::kTruncated);
}

TEST_F(ChannelTlsTest, AStopEndsTheHandshake) {
  const Peer silent([](int socket) {
    char buffer[4'096];
    while (recv(socket, buffer, sizeof buffer, 0) > 0) continue;
  });
  Talk said;
  Channel channel(*loop_);
  gate_.spawn(talk(*loop_, channel, silent.at(), engine(), 5s, said));
  while (channel.tls() == nullptr) loop_->turn();
  channel.stop_dialling();
  while (gate_.inside_count() > 0) loop_->turn();
  ASSERT_TRUE(said.failure.has_value());
}

TEST_F(ChannelTlsTest, AQuietSessionRestsAndGoesOn) {
  std::string heard;
  Peer peer([&](int socket) {
    const Session session = accept_tls(socket);
    char buffer[16];
    const int got = SSL_read(session.get(), buffer, sizeof buffer);
    if (got > 0) heard.assign(buffer, static_cast<size_t>(got));
    SSL_write(session.get(), "221 bye\r\n", 9);
    SSL_shutdown(session.get());
  });
  int rests = 0;
  Talk said{.text = "QUIT\r\n", .rests = &rests};
  {
    Channel channel(*loop_);
    auto resting = std::make_unique<RestingEngine>(engine(), rests);
    run(talk(*loop_, channel, peer.at(), std::move(resting), 5s, said));
  }
  peer.finish();
  EXPECT_EQ(rests, 1);
  EXPECT_EQ(heard, "QUIT\r\n");
  EXPECT_EQ(said.heard, "221 bye\r\n");
  EXPECT_EQ(said.fault, IoError::kNone);
}

}  // namespace
}  // namespace sluice
