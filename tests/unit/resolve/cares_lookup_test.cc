// CaresLookup against a small name server in a thread, over real sockets on loopback.
#include "engine/resolve/cares_lookup.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <set>
#include <thread>

#include "engine/resolve/server_health.h"
#include "engine/ring/gate.h"
#include "engine/ring/uring_io.h"

namespace sluice {
namespace {

using resolver_cache::Message;
using resolver_cache::Query;
using resolver_cache::Rcode;
using resolver_cache::RecordType;

// Answers by the first label: "big" with 100 MX (too large for UDP), "servfail", "silent" not at
// all, "old" with FORMERR to EDNS, anything else with one MX. Unless it behaves otherwise.
class NameServer {
 public:
  enum class Manner { kGood, kSilent, kRefusing, kGarbled };

  explicit NameServer(Manner first_manner = Manner::kGood) : manner(first_manner) {
    // A port that is free for one may be taken for the other.
    constexpr int kPortsTried = 1'000;
    int bound = -1;
    for (int i = 0; i < kPortsTried && bound != 0; ++i) {
      if (udp_ >= 0) ::close(udp_);
      if (tcp_ >= 0) ::close(tcp_);
      udp_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      tcp_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      EXPECT_EQ(bind_to(udp_, 0), 0);
      bound = bind_to(tcp_, port_);
    }
    EXPECT_EQ(bound, 0) << "no port is free for UDP and TCP";
    EXPECT_EQ(listen(tcp_, 16), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~NameServer() {
    stop_ = true;
    thread_.join();
    for (const pollfd& p : polled_) ::close(p.fd);
  }
  SocketAddress address() const { return {*parse_ip("127.0.0.1"), port_}; }
  std::atomic<Manner> manner;
  std::atomic<int> udp_count{0};
  std::atomic<int> tcp_count{0};

 private:
  int bind_to(int descriptor, uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    const int result = bind(descriptor, generic, sizeof address);
    socklen_t length = sizeof address;
    getsockname(descriptor, generic, &length);
    port_ = ntohs(address.sin_port);
    return result;
  }

  std::string answer(std::string_view packet, size_t bytes_max) const {
    const std::optional<Query> query = resolver_cache::parse_query(packet);
    if (!query || query->name.rfind("silent", 0) == 0 || manner == Manner::kSilent) return {};
    Message message = resolver_cache::response_to(*query);
    message.recursion_available = true;
    if (manner == Manner::kRefusing) {
      message.rcode = Rcode::kRefused;
      return resolver_cache::encode_response(message, bytes_max).value();
    }
    if (manner == Manner::kGarbled) {
      message.answers = {resolver_cache::make_mx(query->name, 60, 1, "mx.example.com")};
      const std::string whole = resolver_cache::encode_response(message, bytes_max).value();
      return whole.substr(0, whole.size() - 14);  // of the last record, and OPT
    }
    if (query->name.rfind("old", 0) == 0 && query->udp_payload_bytes != 0) {
      message.rcode = Rcode::kFormatError;
      message.has_edns = false;
      return resolver_cache::encode_response(message, bytes_max).value();
    }
    if (query->name.rfind("servfail", 0) == 0) {
      message.rcode = Rcode::kServerFailure;
    } else {
      const uint16_t count = query->name.rfind("big", 0) == 0 ? 100 : 1;
      for (uint16_t i = 0; i < count; ++i) {
        message.answers.push_back(resolver_cache::make_mx(
            query->name, 60, i, "exchanger-" + std::to_string(i) + "." + query->name));
      }
    }
    const size_t room = query->udp_payload_bytes == 0 ? 512 : query->udp_payload_bytes;
    return resolver_cache::encode_response(message, std::min(bytes_max, room)).value();
  }

  void serve_udp() {
    char buffer[4'096];
    sockaddr_in from{};
    socklen_t length = sizeof from;
    auto* generic = reinterpret_cast<sockaddr*>(&from);
    const ssize_t got = recvfrom(udp_, buffer, sizeof buffer, 0, generic, &length);
    if (got <= 0) return;
    ++udp_count;
    const std::string reply = answer({buffer, static_cast<size_t>(got)}, 1'232);
    if (!reply.empty()) sendto(udp_, reply.data(), reply.size(), 0, generic, length);
  }

  // One query a segment is enough here. False: the connection has ended.
  bool serve_tcp(int descriptor) {
    char buffer[4'096];
    const ssize_t got = recv(descriptor, buffer, sizeof buffer, 0);
    if (got < 2) return false;
    ++tcp_count;
    const std::string_view packet(buffer + 2, static_cast<size_t>(got) - 2);
    const std::optional<Query> query = resolver_cache::parse_query(packet);
    if (!query) return false;
    Message message = resolver_cache::response_to(*query);
    for (uint16_t i = 0; i < 100; ++i) {
      message.answers.push_back(resolver_cache::make_mx(query->name, 60, i, "x" + query->name));
    }
    const std::string reply = resolver_cache::encode_response(message, 65'535).value();
    std::string framed;
    framed.push_back(static_cast<char>(reply.size() >> 8));
    framed.push_back(static_cast<char>(reply.size() & 0xFF));
    framed += reply;
    return ::send(descriptor, framed.data(), framed.size(), MSG_NOSIGNAL) > 0;
  }

  void serve() {
    polled_ = {{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}};
    while (!stop_) {
      if (poll(polled_.data(), polled_.size(), 20) <= 0) continue;
      if ((polled_[0].revents & POLLIN) != 0) serve_udp();
      for (size_t i = polled_.size(); i-- > 2;) {
        if (polled_[i].revents == 0 || serve_tcp(polled_[i].fd)) continue;
        ::close(polled_[i].fd);
        polled_.erase(polled_.begin() + static_cast<std::ptrdiff_t>(i));
      }
      if ((polled_[1].revents & POLLIN) != 0) {
        const int accepted = accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
        if (accepted >= 0) polled_.push_back({accepted, POLLIN, 0});
      }
    }
  }

  int udp_ = -1;
  int tcp_ = -1;
  uint16_t port_ = 0;
  std::vector<pollfd> polled_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

Task<> lookup_into(Lookup& lookup, std::string name, std::optional<LookupAnswer>& out) {
  Task<LookupAnswer> asking = lookup.lookup(std::move(name), RecordType::kMx);
  out = co_await std::move(asking);
}
Task<> close_into(Lookup& lookup, bool& out) {
  Task<> closing = lookup.close();
  co_await std::move(closing);
  out = true;
}

// Of what is never answered. All else is: however slow the machine is, it is waited for.
constexpr Duration kShort = std::chrono::milliseconds(100);

class CaresLookupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    StatusOr<std::unique_ptr<UringIo>> io = UringIo::create({256, 1});
    if (!io.ok()) GTEST_SKIP() << message_of(io.status());
    io_ = std::move(*io);
    loop_ = std::make_unique<Loop>(*io_, LoopOptions{});
    options_.servers = {server_.address()};
    options_.try_timeout = std::chrono::seconds(5);
    options_.tries = 2;
  }
  void TearDown() override { shut(); }
  void shut() {
    if (!lookup_) return;
    bool closed = false;
    start_closing(closed);
    while (!closed) turn();
    turn();
    lookup_.reset();
  }
  void open() {
    const Executor::Scope scope(loop_->executor());
    StatusOr<std::unique_ptr<CaresLookup>> lookup = CaresLookup::create(*loop_, options_);
    ASSERT_TRUE(lookup.ok()) << message_of(lookup.status());
    lookup_ = std::move(*lookup);
  }
  void turn() { loop_->turn(loop_->now() + std::chrono::milliseconds(10)); }
  void start_closing(bool& closed) {
    const Executor::Scope scope(loop_->executor());
    gate_.spawn(close_into(*lookup_, closed));
  }
  void start(const std::string& name, std::optional<LookupAnswer>& out) {
    const Executor::Scope scope(loop_->executor());
    gate_.spawn(lookup_into(*lookup_, name, out));
  }
  LookupAnswer ask(const std::string& name) {
    std::optional<LookupAnswer> answer;
    start(name, answer);
    while (!answer) turn();
    return *answer;
  }

  NameServer server_;
  CaresOptions options_;
  std::unique_ptr<UringIo> io_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<CaresLookup> lookup_;
  Gate gate_;
};

TEST_F(CaresLookupTest, AnswersOverUdp) {
  open();
  const LookupAnswer answer = ask("example.com");
  EXPECT_EQ(answer.failure, LookupAnswer::Failure::kNone);
  EXPECT_EQ(answer.server, to_string(server_.address()));
  const Message message = resolver_cache::parse_message(answer.packet).value();
  EXPECT_EQ(message.answers.at(0).data, "exchanger-0.example.com");
  EXPECT_TRUE(message.has_edns);
  EXPECT_EQ(server_.tcp_count, 0);
}

TEST_F(CaresLookupTest, TruncatedAnswersAreAskedAgainOverTcp) {
  open();
  for (int i = 0; i < 2; ++i) {
    const LookupAnswer answer = ask("big.example.com");
    ASSERT_EQ(answer.failure, LookupAnswer::Failure::kNone);
    const Message message = resolver_cache::parse_message(answer.packet).value();
    EXPECT_FALSE(message.truncated);
    EXPECT_EQ(message.answers.size(), 100U);
  }
  EXPECT_EQ(server_.tcp_count, 2);
}

TEST_F(CaresLookupTest, ErrorCodesAreAnswers) {
  open();
  const LookupAnswer answer = ask("servfail.com");
  ASSERT_EQ(answer.failure, LookupAnswer::Failure::kNone);
  EXPECT_EQ(resolver_cache::parse_message(answer.packet)->rcode, Rcode::kServerFailure);
}

TEST_F(CaresLookupTest, SilenceTimesOut) {
  options_.try_timeout = kShort;
  open();
  EXPECT_EQ(ask("silent.com").failure, LookupAnswer::Failure::kTimeout);
  EXPECT_EQ(server_.udp_count, 2);
}

TEST_F(CaresLookupTest, NobodyListens) {
  options_.try_timeout = kShort;
  options_.servers = {{*parse_ip("127.0.0.1"), 1}};
  open();
  const LookupAnswer answer = ask("example.com");
  EXPECT_TRUE(answer.failure == LookupAnswer::Failure::kUnreachable ||
              answer.failure == LookupAnswer::Failure::kTimeout);
  // And again, on a new socket.
  EXPECT_NE(ask("example.com").failure, LookupAnswer::Failure::kNone);
}

TEST_F(CaresLookupTest, ManyAtATimeWaitTheirTurn) {
  options_.outstanding_max = 4;
  open();
  std::vector<std::optional<LookupAnswer>> answers(200);
  for (size_t i = 0; i < answers.size(); ++i) start("d" + std::to_string(i) + ".com", answers[i]);
  const auto done = [](const std::optional<LookupAnswer>& a) { return a.has_value(); };
  while (!std::all_of(answers.begin(), answers.end(), done)) turn();
  for (size_t i = 0; i < answers.size(); ++i) {
    ASSERT_EQ(answers[i]->failure, LookupAnswer::Failure::kNone);
    const auto message = resolver_cache::parse_message(answers[i]->packet);
    EXPECT_EQ(message->question_name, "d" + std::to_string(i) + ".com");
  }
}

TEST_F(CaresLookupTest, AFullQueueRefuses) {
  options_.try_timeout = kShort;
  options_.outstanding_max = 1;
  options_.waiting_max = 1;
  open();
  std::vector<std::optional<LookupAnswer>> answers(3);
  for (std::optional<LookupAnswer>& answer : answers) start("silent.com", answer);
  const auto done = [](const std::optional<LookupAnswer>& a) { return a.has_value(); };
  while (!std::all_of(answers.begin(), answers.end(), done)) turn();
  EXPECT_EQ(answers[2]->failure, LookupAnswer::Failure::kOverloaded);
  EXPECT_EQ(answers[1]->failure, LookupAnswer::Failure::kTimeout);
}

TEST_F(CaresLookupTest, AServerWithoutEdnsIsStillAnswered) {
  open();
  const LookupAnswer answer = ask("old.com");
  ASSERT_EQ(answer.failure, LookupAnswer::Failure::kNone);
  EXPECT_EQ(resolver_cache::parse_message(answer.packet)->answers.size(), 1U);
  // The next questions have EDNS again, on a channel of their own.
  for (int i = 0; i < 30; ++i) turn();
  const LookupAnswer later = ask("example.com");
  EXPECT_TRUE(resolver_cache::parse_message(later.packet)->has_edns);
}

TEST_F(CaresLookupTest, SuffixesHaveServersOfTheirOwn) {
  NameServer other;
  options_.routes = {{"eth", {other.address()}}};
  open();
  EXPECT_EQ(ask("vitalik.eth").server, to_string(other.address()));
  EXPECT_EQ(ask("eth").server, to_string(other.address()));
  EXPECT_EQ(ask("meth").server, to_string(server_.address()));
  EXPECT_EQ(other.udp_count, 2);
}

using Manner = NameServer::Manner;

// Of two servers, of which the first is bad in a way, the other's answer counts.
TEST_F(CaresLookupTest, TheNextServerIsAskedBeforeABadAnswerIsHandedUp) {
  for (const Manner manner : {Manner::kRefusing, Manner::kGarbled, Manner::kSilent}) {
    SCOPED_TRACE(static_cast<int>(manner));
    NameServer bad(manner);
    options_.servers = {bad.address(), server_.address()};
    open();
    const LookupAnswer answer = ask("example.com");
    EXPECT_EQ(answer.failure, LookupAnswer::Failure::kNone);
    EXPECT_EQ(answer.server, to_string(server_.address()));
    EXPECT_EQ(resolver_cache::parse_message(answer.packet)->answers.size(), 1U);
    while (bad.udp_count == 0) turn();  // it has been asked
    shut();
  }
}

TEST_F(CaresLookupTest, AnAnswerThatHelpsNobodyIsHandedUpWhenAllHaveGivenOne) {
  NameServer other;
  options_.servers = {server_.address(), other.address()};
  open();
  const LookupAnswer answer = ask("servfail.com");
  ASSERT_EQ(answer.failure, LookupAnswer::Failure::kNone);
  EXPECT_EQ(resolver_cache::parse_message(answer.packet)->rcode, Rcode::kServerFailure);
  EXPECT_EQ(server_.udp_count, 1);
  EXPECT_EQ(other.udp_count, 1);
}

TEST_F(CaresLookupTest, AnAnswerThatHelpsNobodyIsBetterThanSilence) {
  options_.try_timeout = std::chrono::seconds(1);
  NameServer silent(Manner::kSilent);
  options_.servers = {silent.address(), server_.address()};
  open();
  const LookupAnswer answer = ask("servfail.com");
  ASSERT_EQ(answer.failure, LookupAnswer::Failure::kNone);
  EXPECT_EQ(resolver_cache::parse_message(answer.packet)->rcode, Rcode::kServerFailure);
  EXPECT_EQ(answer.server, to_string(server_.address()));
  EXPECT_EQ(server_.udp_count, 1) << "it has said what it knows";
}

TEST_F(CaresLookupTest, ASilentServerIsRestedProbedAndUsedAgain) {
  NameServer bad(Manner::kSilent);
  options_.servers = {bad.address(), server_.address()};
  options_.try_timeout = std::chrono::milliseconds(400);
  open();
  EXPECT_EQ(ask("first.com").failure, LookupAnswer::Failure::kNone);
  const Instant began = loop_->now();
  while (bad.udp_count == 0 || loop_->now() < began + 2 * options_.try_timeout) turn();
  for (int i = 0; i < 200; ++i) {
    const LookupAnswer answer = ask("d" + std::to_string(i) + ".com");
    EXPECT_EQ(answer.failure, LookupAnswer::Failure::kNone);
    EXPECT_EQ(answer.server, to_string(server_.address()));
  }
  // The n-th probe comes when rests of 1, 2, 4 ... seconds are over.
  const int probes = bad.udp_count - 1;
  EXPECT_LE(ServerHealth::kRestMin * ((1 << probes) - 1), loop_->now() - began);
  bad.manner = Manner::kGood;
  const int before = bad.udp_count;
  const Instant give_up = loop_->now() + std::chrono::seconds(20);
  for (int i = 0; bad.udp_count == before && loop_->now() < give_up; ++i) {
    EXPECT_EQ(ask("e" + std::to_string(i) + ".com").failure, LookupAnswer::Failure::kNone);
  }
  EXPECT_GT(bad.udp_count, before);
}

TEST_F(CaresLookupTest, EachSilentServerIsTriedAsOftenAsIsAllowed) {
  options_.try_timeout = kShort;
  NameServer first(Manner::kSilent);
  NameServer second(Manner::kSilent);
  options_.servers = {first.address(), second.address()};
  open();
  EXPECT_EQ(ask("example.com").failure, LookupAnswer::Failure::kTimeout);
  EXPECT_EQ(first.udp_count, 2);
  EXPECT_EQ(second.udp_count, 2);
}

TEST_F(CaresLookupTest, NoQuestionTakesLongerThanTheTotal) {
  options_.try_timeout = kShort;
  options_.tries = 10;
  options_.total_timeout = std::chrono::milliseconds(500);
  open();
  const Instant began = loop_->now();
  EXPECT_EQ(ask("silent.com").failure, LookupAnswer::Failure::kTimeout);
  EXPECT_GE(loop_->now() - began, options_.total_timeout);
  EXPECT_LT(loop_->now() - began, std::chrono::seconds(5));
}

TEST_F(CaresLookupTest, BadNamesAndClosing) {
  open();
  EXPECT_EQ(ask("a..b").failure, LookupAnswer::Failure::kBadName);
  std::optional<LookupAnswer> answer;
  start("silent.com", answer);
  turn();
  bool closed = false;
  start_closing(closed);
  while (!closed || !answer) turn();
  EXPECT_EQ(answer->failure, LookupAnswer::Failure::kClosed);
  EXPECT_EQ(ask("example.com").failure, LookupAnswer::Failure::kClosed);
}

}  // namespace
}  // namespace sluice
