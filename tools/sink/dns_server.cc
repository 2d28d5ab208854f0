#include "tools/sink/dns_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "tools/sink/sockets.h"

namespace sluice::sink {
namespace {

constexpr size_t kBatch = 64;
constexpr size_t kQueryMax = 1'500;
constexpr int64_t kIdleMs = 10'000;
constexpr size_t kTcpAnswerMax = 65'535;
constexpr int kPortsTried = 16;

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Status DnsServer::bind_both(const SocketAddress& address) {
  // TCP first: connections that ended a moment ago may still hold its ports, and the kernel knows
  // which are free.
  address_ = address;
  ASSIGN_OR_RETURN(tcp_, open_bound(SOCK_STREAM, address_, false));
  StatusOr<int> udp = open_bound(SOCK_DGRAM, address_, false);
  if (udp.ok()) {
    udp_ = *udp;
    return absl::OkStatus();
  }
  ::close(tcp_);
  tcp_ = -1;
  return udp.status();
}

Status DnsServer::start(const SocketAddress& address) {
  Status bound = bind_both(address);
  // The same number must be free twice: another is tried when the kernel chooses.
  for (int i = 0; i < kPortsTried && !bound.ok() && address.port == 0; ++i) {
    bound = bind_both(address);
  }
  RETURN_IF_ERROR(bound);
  const int bytes = 4 << 20;
  ::setsockopt(udp_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  ::setsockopt(udp_, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) return unavailable("cannot make an eventfd for the name server");
  thread_ = std::thread(&DnsServer::run, this);
  return absl::OkStatus();
}

void DnsServer::stop() {
  if (thread_.joinable()) {
    stopping_.store(true);
    const uint64_t one = 1;
    if (::write(wake_, &one, sizeof one) < 0) stopping_.store(true);
    thread_.join();
  }
  for (const Client& client : clients_) ::close(client.socket);
  clients_.clear();
  for (int* fd : {&udp_, &tcp_, &wake_}) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
}

std::string DnsServer::answer(std::string_view packet, bool tcp) {
  const auto query = resolver_cache::parse_query(packet);
  if (query) {
    const auto message = zones_.answer(*query);
    if (message) {
      const size_t udp_max = std::max<size_t>(query->udp_payload_bytes, 512);
      auto encoded = resolver_cache::encode_response(*message, tcp ? kTcpAnswerMax : udp_max);
      if (encoded) return std::move(*encoded);
    }
  }
  counts_.unanswered.fetch_add(1, std::memory_order_relaxed);
  return {};
}

void DnsServer::serve_udp() {
  static thread_local std::array<std::array<char, kQueryMax>, kBatch> buffers;
  std::array<sockaddr_storage, kBatch> peers;
  std::array<iovec, kBatch> pieces{};
  std::array<mmsghdr, kBatch> messages{};
  for (size_t i = 0; i < kBatch; ++i) {
    pieces[i] = {buffers[i].data(), kQueryMax};
    messages[i].msg_hdr.msg_name = &peers[i];
    messages[i].msg_hdr.msg_namelen = sizeof peers[i];
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int count = ::recvmmsg(udp_, messages.data(), kBatch, MSG_DONTWAIT, nullptr);
  if (count <= 0) return;
  counts_.queries_udp.fetch_add(static_cast<uint64_t>(count), std::memory_order_relaxed);
  std::array<std::string, kBatch> answers;
  std::array<mmsghdr, kBatch> replies{};
  size_t ready = 0;
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    answers[i] = answer(std::string_view(buffers[i].data(), messages[i].msg_len), false);
    if (answers[i].empty()) continue;
    pieces[i] = {answers[i].data(), answers[i].size()};
    replies[ready] = messages[i];
    replies[ready].msg_hdr.msg_flags = 0;
    ++ready;
  }
  size_t sent = 0;
  while (sent < ready) {
    const int now = ::sendmmsg(udp_, &replies[sent], static_cast<unsigned>(ready - sent), 0);
    // What cannot be sent is lost, as datagrams may be.
    sent += now > 0 ? static_cast<size_t>(now) : 1;
  }
}

void DnsServer::accept_tcp(int64_t now) {
  const int fd = ::accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return;
  if (clients_.size() >= kTcpMax) {
    ::close(fd);
    return;
  }
  const timeval second{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second);
  clients_.push_back(Client{fd, now, {}});
}

bool DnsServer::serve_tcp(Client& client) {
  std::array<char, 4'096> buffer;
  const ssize_t got = ::recv(client.socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got <= 0) return false;
  client.input.append(buffer.data(), static_cast<size_t>(got));
  std::string_view input = client.input;
  std::string out;
  while (input.size() >= 2) {
    const size_t length = static_cast<size_t>(static_cast<unsigned char>(input[0])) << 8 |
                          static_cast<unsigned char>(input[1]);
    if (input.size() - 2 < length) break;
    counts_.queries_tcp.fetch_add(1, std::memory_order_relaxed);
    const std::string reply = answer(input.substr(2, length), true);
    input.remove_prefix(2 + length);
    if (reply.empty()) continue;
    out.push_back(static_cast<char>(reply.size() >> 8));
    out.push_back(static_cast<char>(reply.size() & 0xFF));
    out += reply;
  }
  client.input.erase(0, client.input.size() - input.size());
  if (out.empty()) return true;
  const ssize_t sent = ::send(client.socket, out.data(), out.size(), MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(out.size());
}

void DnsServer::run() {
  std::vector<pollfd> polls;
  while (!stopping_.load()) {
    polls.clear();
    polls.push_back({wake_, POLLIN, 0});
    polls.push_back({udp_, POLLIN, 0});
    polls.push_back({tcp_, POLLIN, 0});
    for (const Client& client : clients_) polls.push_back({client.socket, POLLIN, 0});
    if (::poll(polls.data(), polls.size(), clients_.empty() ? -1 : 1'000) < 0) continue;
    const int64_t now = now_ms();
    if (polls[1].revents != 0) serve_udp();
    size_t kept = 0;
    const size_t known = clients_.size();
    for (size_t i = 0; i < known; ++i) {
      Client& client = clients_[i];
      bool stays = now - client.last_used_ms < kIdleMs;
      if (polls[3 + i].revents != 0) {
        stays = serve_tcp(client);
        client.last_used_ms = now;
      }
      if (!stays) {
        ::close(client.socket);
      } else {
        if (kept != i) clients_[kept] = std::move(client);
        ++kept;
      }
    }
    clients_.resize(kept);
    if (polls[2].revents != 0) accept_tcp(now);
  }
}

}  // namespace sluice::sink
