// The sink's log of events: what is in it, in which order.
#include "tools/sink/event_log.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "tools/sink/server.h"
#include "tools/sink/sockets.h"

namespace sluice::sink {
namespace {

struct Line {
  uint64_t time = 0;
  std::string kind;
  uint64_t connection = 0;
  std::string address;
  std::string who;
};

std::vector<Line> read_log(const std::string& path) {
  std::vector<Line> lines;
  std::ifstream in(path);
  std::string text;
  while (std::getline(in, text)) {
    std::istringstream words(text);
    Line line;
    words >> line.time >> line.kind >> line.connection >> line.address >> line.who;
    lines.push_back(line);
  }
  return lines;
}

// Says all of it at once and reads until the sink closes.
void talk(const SocketAddress& address, const std::string& text) {
  sockaddr_storage storage;
  const socklen_t length = to_kernel(address, storage);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval ten{10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &ten, sizeof ten);
  const void* generic = &storage;
  ASSERT_EQ(::connect(fd, static_cast<const sockaddr*>(generic), length), 0);
  ASSERT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  char buffer[4096];
  while (::recv(fd, buffer, sizeof buffer, 0) > 0) {
  }
  ::close(fd);
}

TEST(EventLog, HasEachConnectionAndMessageInOrder) {
  const std::string path = testing::TempDir() + "sink-events-" + std::to_string(::getpid());
  SinkOptions options;
  ASSERT_TRUE(parse_listen("127.0.0.1:0", options.listen).ok());
  options.connections_max = 10;
  options.log_file = path;
  Sink sink(options);
  ASSERT_TRUE(sink.start().ok());
  const std::string mail = "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nBDAT 2 LAST\r\nhi";
  talk(sink.addresses()[0], "EHLO me\r\n" + mail + mail + "QUIT\r\n");
  talk(sink.addresses()[0], "QUIT\r\n");
  const SinkReport report = sink.finish(true);
  EXPECT_EQ(report.log_errors, 0U);
  const std::vector<Line> lines = read_log(path);
  std::remove(path.c_str());
  ASSERT_EQ(lines.size(), 6U);
  const std::string address = to_string(sink.addresses()[0]);
  const std::vector<std::string> kinds = {"open", "message", "message", "close", "open", "close"};
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].kind, kinds[i]) << i;
    EXPECT_EQ(lines[i].address, address) << i;
    EXPECT_EQ(lines[i].connection, i < 4 ? 0U : 1U) << i;
    EXPECT_GE(lines[i].time, lines[i == 0 ? 0 : i - 1].time) << i;
  }
  EXPECT_EQ(lines[0].who.substr(0, 10), "127.0.0.1:");
  EXPECT_EQ(lines[1].who, "b@y.example");
  EXPECT_EQ(lines[3].who, "");
}

TEST(EventLog, RefusedConnectionsAreThere) {
  const std::string path = testing::TempDir() + "sink-refused-" + std::to_string(::getpid());
  SinkOptions options;
  ASSERT_TRUE(parse_listen("127.0.0.1:0", options.listen).ok());
  options.connections_max = 1;
  options.log_file = path;
  Sink sink(options);
  ASSERT_TRUE(sink.start().ok());
  sockaddr_storage storage;
  const socklen_t length = to_kernel(sink.addresses()[0], storage);
  const int first = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const void* generic = &storage;
  ASSERT_EQ(::connect(first, static_cast<const sockaddr*>(generic), length), 0);
  talk(sink.addresses()[0], "QUIT\r\n");
  ::close(first);
  sink.finish(true);
  const std::vector<Line> lines = read_log(path);
  std::remove(path.c_str());
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].kind, "open");
  EXPECT_EQ(lines[1].kind, "refused");
  EXPECT_EQ(lines[1].connection, 1U);
  EXPECT_EQ(lines[2].kind, "close");
  EXPECT_EQ(lines[2].connection, 0U);
}

TEST(EventLog, TellsTheProtocolBehindTheRecipient) {
  const std::string path = testing::TempDir() + "sink-tls-" + std::to_string(::getpid());
  LogFile file;
  ASSERT_TRUE(file.open(path).ok());
  EventLog log(file);
  log.add("message", 7, "127.0.0.1:25", "b@y.example", "TLSv1.3");
  log.add("message", 8, "127.0.0.1:25", "c@y.example");
  log.flush();
  std::ifstream in(path);
  for (const char* wanted :
       {" message 7 127.0.0.1:25 b@y.example TLSv1.3", " message 8 127.0.0.1:25 c@y.example"}) {
    std::string line;
    ASSERT_TRUE(std::getline(in, line));
    EXPECT_EQ(line.substr(line.find(' ')), wanted);
  }
  std::remove(path.c_str());
}

TEST(EventLog, SaysWhenItCannotWrite) {
  SinkOptions options;
  ASSERT_TRUE(parse_listen("127.0.0.1:0", options.listen).ok());
  options.connections_max = 10;
  options.log_file = "/nonexistent/log";
  Sink sink(options);
  const Status status = sink.start();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("/nonexistent/log"), std::string::npos);
}

}  // namespace
}  // namespace sluice::sink
