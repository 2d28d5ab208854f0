// The sink over loopback sockets, and its name server.
#include "tools/sink/server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "resolver_cache/dns_message.h"
#include "tools/sink/sockets.h"

namespace sluice::sink {
namespace {

using resolver_cache::Query;
using resolver_cache::RecordType;

SinkOptions on_any_port(const char* listen = "127.0.0.1:0") {
  SinkOptions options;
  EXPECT_TRUE(parse_listen(listen, options.listen).ok());
  options.connections_max = 100;
  return options;
}

// A blocking client; every wait ends after ten seconds.
class Client {
 public:
  Client(const SocketAddress& address, int type) {
    sockaddr_storage storage;
    const socklen_t length = to_kernel(address, storage);
    fd_ = ::socket(address.ip.family == Family::kIpv4 ? AF_INET : AF_INET6, type, 0);
    const timeval ten{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &ten, sizeof ten);
    const void* generic = &storage;
    EXPECT_EQ(::connect(fd_, static_cast<const sockaddr*>(generic), length), 0);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { ::close(fd_); }

  void send(std::string_view text) {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  std::string receive_some() {
    char buffer[65'536];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    last_ = got;
    return got > 0 ? std::string(buffer, static_cast<size_t>(got)) : std::string();
  }
  // Until `lines` line ends or the end.
  std::string read_lines(int lines) {
    std::string all;
    while (std::count(all.begin(), all.end(), '\n') < lines) {
      const std::string some = receive_some();
      if (some.empty()) break;
      all += some;
    }
    return all;
  }
  ssize_t last() const { return last_; }

 private:
  int fd_ = -1;
  ssize_t last_ = 0;
};

void send_message(Client& client, const std::string& to, size_t bytes) {
  client.send("MAIL FROM:<a@x.example>\r\nRCPT TO:<" + to + ">\r\nBDAT " + std::to_string(bytes) +
              " LAST\r\n" + std::string(bytes, 'x'));
  const std::string replies = client.read_lines(3);
  EXPECT_EQ(std::count(replies.begin(), replies.end(), '\n'), 3) << replies;
}

TEST(Sink, TakesMessagesAndCountsThem) {
  SinkOptions options = on_any_port();
  options.threads = 2;
  options.stop_after_messages = 3;
  Sink sink(options);
  ASSERT_TRUE(sink.start().ok());
  {
    Client client(sink.addresses()[0], SOCK_STREAM);
    EXPECT_EQ(client.read_lines(1).substr(0, 4), "220 ");
    client.send("EHLO me\r\n");
    client.read_lines(7);
    send_message(client, "b@y.example", 300'000);
    send_message(client, "c@y.example", 10);
    send_message(client, "b@y.example", 10);
    client.send("QUIT\r\n");
    EXPECT_EQ(client.read_lines(2).substr(0, 4), "221 ");
    EXPECT_EQ(client.last(), 0);
  }
  pollfd done{sink.done_event(), POLLIN, 0};
  EXPECT_EQ(::poll(&done, 1, 10'000), 1);
  const SinkReport report = sink.finish(true);
  EXPECT_EQ(report.messages, 3U);
  EXPECT_EQ(report.content_bytes, 300'020U);
  EXPECT_EQ(report.connections, 1U);
  EXPECT_EQ(report.identities.distinct, 2U);
  EXPECT_EQ(report.identities.twice, 1U);
  EXPECT_EQ(report.messages_on_a_connection_max, 3U);
  EXPECT_NE(to_json(report).find("\"messages\": 3"), std::string::npos);
  EXPECT_NE(to_text(report).find("1 twice"), std::string::npos);
}

TEST(Sink, RefusesConnectionsBeyondTheCap) {
  SinkOptions options = on_any_port("127.0.0.1-127.0.0.2:0");
  options.connections_a_host_max = 1;
  Sink sink(options);
  ASSERT_TRUE(sink.start().ok());
  Client first(sink.addresses()[0], SOCK_STREAM);
  EXPECT_EQ(first.read_lines(1).substr(0, 3), "220");
  Client second(sink.addresses()[0], SOCK_STREAM);
  EXPECT_EQ(second.read_lines(2).substr(0, 3), "421");
  Client other(sink.addresses()[1], SOCK_STREAM);
  EXPECT_EQ(other.read_lines(1).substr(0, 3), "220");
  const SinkReport report = sink.finish(false);
  EXPECT_EQ(report.connections_refused, 1U);
  EXPECT_EQ(report.connections_peak, 2U);
  ASSERT_EQ(report.hosts.size(), 2U);
  EXPECT_EQ(report.hosts[0].peak, 1U);
  EXPECT_EQ(report.hosts[0].refused, 1U);
}

TEST(Sink, ResetsAndDrops) {
  SinkOptions options = on_any_port();
  ASSERT_TRUE(parse_odds("MAIL:reset=1", options.odds).ok());
  ASSERT_TRUE(parse_odds("OTHER:drop=1", options.odds).ok());
  Sink sink(options);
  ASSERT_TRUE(sink.start().ok());
  Client reset(sink.addresses()[0], SOCK_STREAM);
  reset.read_lines(1);
  reset.send("EHLO me\r\n");
  reset.read_lines(7);
  reset.send("MAIL FROM:<>\r\n");
  EXPECT_EQ(reset.receive_some(), "");
  EXPECT_EQ(reset.last(), -1);
  Client dropped(sink.addresses()[0], SOCK_STREAM);
  dropped.read_lines(1);
  dropped.send("EHLO me\r\nNOOP\r\nNOOP\r\n");
  dropped.read_lines(8);
  EXPECT_EQ(dropped.last(), 0);
}

TEST(Sink, DelaysGroupsByOneConstant) {
  SinkOptions options = on_any_port();
  options.rtt = 100ms;
  Sink sink(options);
  ASSERT_TRUE(sink.start().ok());
  using Clock = std::chrono::steady_clock;
  auto from = Clock::now();
  Client client(sink.addresses()[0], SOCK_STREAM);
  client.read_lines(1);
  EXPECT_GE(Clock::now() - from, 100ms);
  from = Clock::now();
  std::string noops;
  for (int i = 0; i < 50; ++i) noops += "NOOP\r\n";
  // Apart, so that they are groups of their own; all are under way at the same time.
  for (int i = 0; i < 10; ++i) client.send(noops);
  const std::string replies = client.read_lines(500);
  EXPECT_EQ(std::count(replies.begin(), replies.end(), '\n'), 500);
  const auto took = Clock::now() - from;
  EXPECT_GE(took, 100ms);
  EXPECT_LT(took, 900ms);  // one after the other would take a second
  client.send("QUIT\r\n");
  EXPECT_EQ(client.read_lines(2).substr(0, 3), "221");
}

TEST(Sink, SaysWhyItCannotListen) {
  SinkOptions options = on_any_port();
  Sink first(options);
  ASSERT_TRUE(first.start().ok());
  options.listen = first.addresses();
  Sink second(options);
  const Status status = second.start();
  EXPECT_NE(message_of(status).find("another program listens there"), std::string::npos);
}

TEST(DnsServer, AnswersOverUdpAndTcp) {
  SinkOptions options = on_any_port("127.0.1.1-127.0.1.3:0");
  options.dns.listen = parse_address("127.0.0.1:0");
  options.dns.zones = {"test.example"};
  Sink sink(options);
  ASSERT_TRUE(sink.start().ok());
  Query query;
  query.name = "news.test.example";
  query.type = RecordType::kMx;
  query.id = 7;
  const std::string packet = *resolver_cache::encode_query(query);
  Client udp(*sink.dns_address(), SOCK_DGRAM);
  udp.send("garbage");
  udp.send(packet);
  const auto answer = resolver_cache::parse_message(udp.receive_some());
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->id, 7);
  ASSERT_EQ(answer->answers.size(), 1U);
  Client tcp(*sink.dns_address(), SOCK_STREAM);
  std::string framed = {static_cast<char>(packet.size() >> 8),
                        static_cast<char>(packet.size() & 0xFF)};
  framed += packet;
  tcp.send(framed.substr(0, 5));
  tcp.send(framed.substr(5) + framed);
  std::string both;
  const auto whole = [&both] {
    return both.size() > 2 && both.size() >= 2 * (2U + static_cast<unsigned char>(both[1]));
  };
  while (!whole()) {
    const std::string some = tcp.receive_some();
    ASSERT_FALSE(some.empty());
    both += some;
  }
  const SinkReport report = sink.finish(false);
  EXPECT_EQ(report.dns_udp, 2U);
  EXPECT_EQ(report.dns_tcp, 2U);
  EXPECT_EQ(report.dns_unanswered, 1U);
}

}  // namespace
}  // namespace sluice::sink
