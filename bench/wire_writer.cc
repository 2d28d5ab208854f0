// A prototype that only writes the bytes: what a sender without queue, merge and journal costs.
//
// PURPOSE  Opens connections to one receiver and pushes one constant message, each time to another
// recipient, as fast as replies come back: the floor under the CPU time of `sluice bench`.
//   data   one message in flight: its content, dot and the next MAIL, RCPT, DATA leave together
//   blind  a window of RSET, MAIL, RCPT, BDAT n LAST with content, no reply awaited
//
// usage: wire_writer ADDRESS:PORT [MESSAGES] [CONNECTIONS] [SIZE] [data|blind] [WINDOW]
// Prints one line: mode, messages/s, CPU microseconds a message, writes a message.
//
// THREAD  One, with epoll; the kernel gets up to 16 messages in one sendmsg.
// ERRORS  Any reply of 4xx or 5xx, or a closed connection, ends it with exit code 1.
// LIMITS  10,000 connections, a window of 256 messages.
// BUGS  Replies are counted by their first digit, not matched to commands.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/strings.h"

namespace {

constexpr size_t kGroupMax = 16;
constexpr uint64_t kRepliesAMessage = 4;  // data: MAIL, RCPT, DATA, dot; blind: RSET, ..., BDAT

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "wire_writer: %s\n", what.c_str());
  std::exit(1);
}

struct Plan {
  sluice::SocketAddress receiver;
  uint64_t messages = 1'000'000;
  uint64_t connections = 20;
  uint64_t size = 10'240;
  uint64_t window = 16;
  bool blind = true;
};

std::string make_content(uint64_t size) {
  std::string content =
      "From: Example News <news@example.com>\r\nTo: reader@d0.bench.example\r\n"
      "Subject: your news\r\nMIME-Version: 1.0\r\n\r\n";
  constexpr std::string_view kLine =
      "What happened this month, told in a sentence that fills its line, more.\r\n";
  while (content.size() + kLine.size() <= size) content += kLine;
  if (content.size() + 2 <= size) {
    content.append(size - content.size() - 2, 'x');
    content += "\r\n";
  }
  return content;
}

struct Connection {
  int fd = -1;
  uint64_t begun = 0;      // messages whose envelope is written or in `heads`
  uint64_t data_sent = 0;  // of them, those whose content is too (data)
  uint64_t replies = 0;    // since the EHLO
  bool greeted = false;
  bool line_begins = true;
  size_t hello_lines = 0;  // "220 " and the last line of the EHLO's answer
  std::array<std::string, kGroupMax> heads;
  std::array<iovec, 2 * kGroupMax> parts;
  size_t part = 0;  // the next one to write
  size_t part_count = 0;
};

class Writer {
 public:
  explicit Writer(const Plan& plan) : plan_(plan), content_(make_content(plan.size)) {
    if (!plan.blind) content_ += ".\r\n";
  }

  void run() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    connections_.resize(plan_.connections);
    for (size_t i = 0; i < connections_.size(); ++i) open(i);
    std::array<epoll_event, 256> events;
    while (done_ < plan_.messages) {
      const int count = ::epoll_wait(epoll_, events.data(), events.size(), 10'000);
      if (count == 0) die("nothing came for ten seconds");
      for (int i = 0; i < count; ++i) {
        Connection& connection = connections_[events[static_cast<size_t>(i)].data.u64];
        read(connection);
        write(connection);
      }
    }
  }
  uint64_t writes() const { return writes_; }
  std::chrono::steady_clock::time_point first() const { return first_; }

 private:
  void open(size_t index) {
    Connection& connection = connections_[index];
    connection.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(plan_.receiver.port);
    std::memcpy(&address.sin_addr, plan_.receiver.ip.octets.data(), 4);
    const void* generic = &address;
    if (connection.fd < 0 ||
        ::connect(connection.fd, static_cast<const sockaddr*>(generic), sizeof address) != 0) {
      die(std::string("cannot connect: ") + std::strerror(errno));
    }
    const int on = 1;
    ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    constexpr std::string_view kHello = "EHLO writer.example\r\n";
    if (::send(connection.fd, kHello.data(), kHello.size(), MSG_NOSIGNAL) < 0) die("cannot send");
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.u64 = index;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) != 0) die("epoll_ctl");
  }

  void read(Connection& connection) {
    while (true) {
      const ssize_t got = ::recv(connection.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (got == 0) die("the receiver closed a connection");
      if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) return;
        die(std::string("cannot read: ") + std::strerror(errno));
      }
      take_replies(connection, std::string_view(buffer_.data(), static_cast<size_t>(got)));
      if (static_cast<size_t>(got) < buffer_.size()) return;
    }
  }

  void take_replies(Connection& connection, std::string_view text) {
    while (!text.empty()) {
      if (connection.line_begins && text.front() >= '4') die("refused: " + std::string(text));
      const size_t end = text.find('\n');
      // A multi-line answer is the EHLO's alone; the sink writes it in one piece.
      const bool last = text.size() < 4 || text[3] == ' ';
      if (connection.line_begins && !connection.greeted && last) {
        connection.greeted = ++connection.hello_lines == 2;
        if (connection.greeted && first_ == std::chrono::steady_clock::time_point{}) {
          first_ = std::chrono::steady_clock::now();
        }
      } else if (connection.line_begins && connection.greeted) {
        if (++connection.replies % kRepliesAMessage == 0) ++done_;
      }
      connection.line_begins = end != std::string_view::npos;
      text.remove_prefix(connection.line_begins ? end + 1 : text.size());
    }
  }

  void add_part(Connection& connection, std::string& text) {
    connection.parts[connection.part_count++] = {text.data(), text.size()};
  }
  std::string& head(Connection& connection, size_t slot) {
    std::string& text = connection.heads[slot];
    text.clear();
    return text;
  }
  void append_envelope(std::string& text) {
    text += "MAIL FROM:<news@example.com>\r\nRCPT TO:<reader";
    text += std::to_string(begun_);
    text += "@d";
    text += std::to_string(begun_ % 1'000);
    text += ".bench.example>\r\n";
    ++begun_;
  }

  // Puts the next parts in place; false when there is nothing to write now.
  bool fill(Connection& connection) {
    connection.part = connection.part_count = 0;
    if (!connection.greeted) return false;
    return plan_.blind ? fill_blind(connection) : fill_data(connection);
  }
  bool fill_blind(Connection& connection) {
    const uint64_t in_flight = connection.begun - connection.replies / kRepliesAMessage;
    uint64_t room = plan_.window - in_flight;
    // A flight is worth half a window: fewer writes, and the line is never idle.
    if (room * 2 < plan_.window && begun_ < plan_.messages) return false;
    for (size_t i = 0; i < kGroupMax && room > 0 && begun_ < plan_.messages; ++i, --room) {
      std::string& text = head(connection, i);
      text += "RSET\r\n";
      append_envelope(text);
      text += "BDAT ";
      text += std::to_string(content_.size());
      text += " LAST\r\n";
      add_part(connection, text);
      add_part(connection, content_);
      ++connection.begun;
    }
    return connection.part_count > 0;
  }
  bool fill_data(Connection& connection) {
    if (connection.data_sent < connection.begun) {
      // All but the dot is answered: the last reply was 354.
      if (connection.replies + 1 != connection.begun * kRepliesAMessage) return false;
    } else if (connection.begun > 0) {
      return false;
    }
    if (connection.begun > 0) {
      add_part(connection, content_);
      connection.data_sent = connection.begun;
    }
    if (begun_ < plan_.messages) {
      std::string& text = head(connection, 0);
      append_envelope(text);
      text += "DATA\r\n";
      add_part(connection, text);
      ++connection.begun;
    }
    return connection.part_count > 0;
  }

  void write(Connection& connection) {
    while (connection.part < connection.part_count || fill(connection)) {
      msghdr message{};
      message.msg_iov = &connection.parts[connection.part];
      message.msg_iovlen = connection.part_count - connection.part;
      const ssize_t wrote = ::sendmsg(connection.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      ++writes_;
      if (wrote < 0) {
        if (errno == EAGAIN || errno == EINTR) return;
        die(std::string("cannot write: ") + std::strerror(errno));
      }
      size_t left = static_cast<size_t>(wrote);
      while (left > 0) {
        iovec& part = connection.parts[connection.part];
        const size_t step = std::min(left, part.iov_len);
        part.iov_base = static_cast<char*>(part.iov_base) + step;
        part.iov_len -= step;
        left -= step;
        if (part.iov_len == 0) ++connection.part;
      }
    }
  }

  const Plan plan_;
  std::string content_;
  int epoll_ = -1;
  std::vector<Connection> connections_;
  std::array<char, 65'536> buffer_;
  uint64_t begun_ = 0;
  uint64_t done_ = 0;
  uint64_t writes_ = 0;
  std::chrono::steady_clock::time_point first_{};
};

uint64_t number(const char* text, uint64_t least, uint64_t most) {
  const auto value = sluice::parse_decimal(text);
  if (!value || *value < least || *value > most) {
    die(std::string(text) + " is no number from " + std::to_string(least) + " to " +
        std::to_string(most));
  }
  return *value;
}

Plan understand(int argc, char** argv) {
  Plan plan;
  if (argc < 2) {
    die("usage: wire_writer ADDRESS:PORT [MESSAGES] [CONNECTIONS] [SIZE] [data|blind] [WINDOW]");
  }
  const auto receiver = sluice::parse_socket_address(argv[1]);
  if (!receiver || receiver->ip.family != sluice::Family::kIpv4) {
    die(std::string(argv[1]) + " is no IPv4 address with a port, such as 127.0.0.1:2525");
  }
  plan.receiver = *receiver;
  if (argc > 2) plan.messages = number(argv[2], 1, 1'000'000'000);
  if (argc > 3) plan.connections = number(argv[3], 1, 10'000);
  if (argc > 4) plan.size = number(argv[4], 256, 64UL << 20);
  if (argc > 5) {
    const std::string_view mode = argv[5];
    if (mode != "data" && mode != "blind") die("the mode is data or blind");
    plan.blind = mode == "blind";
  }
  if (argc > 6) plan.window = number(argv[6], 1, 256);
  return plan;
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

}  // namespace

int main(int argc, char** argv) {
  const Plan plan = understand(argc, argv);
  Writer writer(plan);
  const double before = cpu_seconds();
  writer.run();
  const double cpu = cpu_seconds() - before;
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - writer.first();
  const double messages = static_cast<double>(plan.messages);
  std::printf("%s: %.0f messages/s, %.2f us of CPU a message, %.3f writes a message\n",
              plan.blind ? "blind" : "data", messages / wall.count(), cpu / messages * 1e6,
              static_cast<double>(writer.writes()) / messages);
  return 0;
}
