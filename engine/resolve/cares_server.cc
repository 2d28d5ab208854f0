#include "engine/resolve/cares_server.h"

#include <ares.h>
#include <poll.h>

#include <algorithm>
#include <bitset>
#include <mutex>
#include <type_traits>
#include <utility>

#include "engine/base/log.h"
#include "engine/ring/operation.h"

namespace sluice {
namespace {

using Failure = LookupAnswer::Failure;

// A server that answers FORMERR to EDNS does so again: its channel is renewed no more often.
constexpr Duration kRenewPause = std::chrono::minutes(1);
constexpr int kSocketBufferBytes = 1 << 20;
constexpr uint16_t kDnsPort = 53;
static_assert(std::is_same_v<ares_socket_t, int>);

bool is_loopback(const IpAddress& address) {
  if (address.family == Family::kIpv4) return address.octets[0] == 127;
  IpAddress one;
  one.family = Family::kIpv6;
  one.octets[15] = 1;
  return address == one;
}

Failure failure_of(int status) {
  switch (status) {
    case ARES_SUCCESS:
      return Failure::kNone;
    case ARES_ETIMEOUT:
      return Failure::kTimeout;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
      return Failure::kClosed;
    case ARES_EBADQUERY:
    case ARES_EBADNAME:
      return Failure::kBadName;
    case ARES_ENOMEM:
      return Failure::kOverloaded;
    default:
      return Failure::kUnreachable;
  }
}

Status start_library() {
  static std::once_flag once;
  static int status = ARES_SUCCESS;
  std::call_once(once, [] { status = ares_library_init(ARES_LIB_INIT_ALL); });
  if (status == ARES_SUCCESS) return absl::OkStatus();
  return unavailable(std::string("DNS: c-ares cannot start: ") + ares_strerror(status));
}

}  // namespace

// One socket of c-ares, with the poll operation on it. Outlives the socket until that ends.
struct CaresServer::Watch {
  explicit Watch(int socket) : descriptor(socket) {}
  const int descriptor;
  uint32_t wanted = 0;
  uint32_t armed = 0;
  bool gone = false;  // c-ares closes the socket
  bool cancelling = false;
  Signal signal;
  Operation operation{signal};
};

struct CaresServer::Channel {
  CaresServer* server = nullptr;
  ares_channel handle = nullptr;  // null: destroyed, only watches are left
  uint32_t outstanding = 0;
  std::bitset<65'536> ids;
  std::vector<std::unique_ptr<Watch>> watches;
};

StatusOr<std::vector<SocketAddress>> system_name_servers() {
  RETURN_IF_ERROR(start_library());
  ares_channel channel = nullptr;
  const int status = ares_init(&channel);
  if (status != ARES_SUCCESS) {
    return unavailable(std::string("DNS: reading /etc/resolv.conf failed: ") +
                       ares_strerror(status));
  }
  ares_addr_port_node* list = nullptr;
  ares_get_servers_ports(channel, &list);
  std::vector<SocketAddress> servers;
  for (const ares_addr_port_node* node = list; node != nullptr; node = node->next) {
    SocketAddress server;
    server.port = node->udp_port == 0 ? kDnsPort : static_cast<uint16_t>(node->udp_port);
    const bool v4 = node->family == AF_INET;
    server.ip.family = v4 ? Family::kIpv4 : Family::kIpv6;
    const auto* octets = reinterpret_cast<const uint8_t*>(&node->addr);
    std::copy_n(octets, v4 ? 4 : 16, server.ip.octets.begin());
    servers.push_back(server);
  }
  ares_free_data(list);
  ares_destroy(channel);
  if (servers.empty()) {
    return unavailable("DNS: /etc/resolv.conf names no server; name some in [dns] servers");
  }
  return servers;
}

CaresServer::CaresServer(Loop& loop, Gate& gate, const SocketAddress& address, Duration timeout,
                         int tries)
    : loop_(loop),
      gate_(gate),
      text_(to_string(address)),
      over_tcp_(!is_loopback(address.ip)),
      timeout_(timeout),
      tries_(tries) {}

// Without close() only a start that failed ends here: then no socket is open.
CaresServer::~CaresServer() { close(); }

Status CaresServer::open() {
  RETURN_IF_ERROR(start_library());
  auto channel = std::make_unique<Channel>();
  channel->server = this;
  ares_options options{};
  options.flags = ARES_FLAG_STAYOPEN | ARES_FLAG_EDNS | ARES_FLAG_NOCHECKRESP;
  if (over_tcp_) options.flags |= ARES_FLAG_USEVC;
  options.timeout = static_cast<int>(timeout_ / std::chrono::milliseconds(1));
  options.tries = tries_;
  options.ednspsz = resolver_cache::kEdnsPayloadBytes;
  options.socket_send_buffer_size = kSocketBufferBytes;
  options.socket_receive_buffer_size = kSocketBufferBytes;
  options.sock_state_cb = &CaresServer::on_socket_state;
  options.sock_state_cb_data = channel.get();
  const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
                   ARES_OPT_SOCK_SNDBUF | ARES_OPT_SOCK_RCVBUF | ARES_OPT_SOCK_STATE_CB;
  int status = ares_init_options(&channel->handle, &options, mask);
  if (status == ARES_SUCCESS) {
    status = ares_set_servers_ports_csv(channel->handle, text_.c_str());
    if (status != ARES_SUCCESS) ares_destroy(channel->handle);
  }
  if (status != ARES_SUCCESS) {
    return unavailable("DNS: c-ares refuses the server " + text_ + ": " + ares_strerror(status));
  }
  current_ = channel.get();
  channels_.push_back(std::move(channel));
  return absl::OkStatus();
}

void CaresServer::destroy_handle(Channel& channel) {
  if (channel.handle != nullptr) ares_destroy(std::exchange(channel.handle, nullptr));
}

void CaresServer::cancel() {
  for (const std::unique_ptr<Channel>& channel : channels_) {
    if (channel->outstanding > 0) ares_cancel(channel->handle);
  }
}

void CaresServer::close() {
  for (const std::unique_ptr<Channel>& channel : channels_) destroy_handle(*channel);
}

void CaresServer::ask(std::string& packet, Asked& asked) {
  Channel& channel = *current_;
  asked.channel_ = &channel;
  do {
    asked.id_ = static_cast<uint16_t>(loop_.io().random().below(65'536));
  } while (channel.ids[asked.id_]);
  channel.ids.set(asked.id_);
  packet[0] = static_cast<char>(asked.id_ >> 8);
  packet[1] = static_cast<char>(asked.id_ & 0xFF);
  ++channel.outstanding;
  ++outstanding_;
  ares_send(channel.handle, reinterpret_cast<const unsigned char*>(packet.data()),
            static_cast<int>(packet.size()), &CaresServer::on_answer, &asked);
}

void CaresServer::on_answer(void* argument, int status, int /*timeouts*/, unsigned char* bytes,
                            int length) {
  auto& asked = *static_cast<Asked*>(argument);
  Channel& channel = *asked.channel_;
  channel.ids.reset(asked.id_);
  --channel.outstanding;
  --channel.server->outstanding_;
  std::string_view packet;
  if (status == ARES_SUCCESS && bytes != nullptr && length > 0) {
    packet = {reinterpret_cast<const char*>(bytes), static_cast<size_t>(length)};
  }
  asked.landed(failure_of(status), packet);
}

void CaresServer::on_socket_state(void* argument, int socket, int readable, int writable) {
  auto& channel = *static_cast<Channel*>(argument);
  const unsigned wanted = (readable != 0 ? POLLIN : 0U) | (writable != 0 ? POLLOUT : 0U);
  channel.server->set_interest(channel, socket, wanted);
}

void CaresServer::set_interest(Channel& channel, int socket, uint32_t wanted) {
  const auto is_it = [socket](const std::unique_ptr<Watch>& w) {
    return w->descriptor == socket && !w->gone;
  };
  const auto found = std::find_if(channel.watches.begin(), channel.watches.end(), is_it);
  if (found == channel.watches.end()) {
    if (wanted == 0) return;
    channel.watches.push_back(std::make_unique<Watch>(socket));
    channel.watches.back()->wanted = wanted;
    gate_.spawn(watch_socket(channel, *channel.watches.back()));
    return;
  }
  Watch& watch = **found;
  watch.wanted = wanted;
  watch.gone = wanted == 0;
  if (watch.operation.in_flight() && watch.armed != wanted && !watch.cancelling) {
    watch.cancelling = true;
    loop_.io().cancel(watch.operation);
  }
}

Task<> CaresServer::watch_socket(Channel& channel, Watch& watch) {
  while (!watch.gone) {
    watch.armed = watch.wanted;
    loop_.io().poll(watch.operation, watch.descriptor, watch.wanted);
    while (!watch.operation.done()) co_await watch.signal;
    const IoResult result = watch.operation.take();
    watch.cancelling = false;
    if (watch.gone || result.error == IoError::kCancelled) continue;
    // An error is found by c-ares itself when it reads or writes.
    process(channel, watch, result.ok() ? static_cast<uint32_t>(result.value) : uint32_t{POLLERR});
  }
  const auto is_it = [&watch](const std::unique_ptr<Watch>& w) { return w.get() == &watch; };
  channel.watches.erase(std::find_if(channel.watches.begin(), channel.watches.end(), is_it));
}

void CaresServer::process(Channel& channel, const Watch& watch, uint32_t ready) {
  const bool broken = (ready & (POLLERR | POLLHUP | POLLNVAL)) != 0;
  const bool readable = (ready & POLLIN) != 0 || broken;
  const bool writable = (ready & POLLOUT) != 0 || (broken && (watch.wanted & POLLOUT) != 0);
  ares_process_fd(channel.handle, readable ? watch.descriptor : ARES_SOCKET_BAD,
                  writable ? watch.descriptor : ARES_SOCKET_BAD);
}

void CaresServer::tick() {
  for (const std::unique_ptr<Channel>& channel : channels_) {
    if (channel->handle == nullptr || channel->outstanding == 0) continue;
    ares_process_fd(channel->handle, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  }
  drop_dry_channels();
  renew_when_edns_is_off();
}

void CaresServer::drop_dry_channels() {
  for (size_t i = 0; i < channels_.size(); ++i) {
    Channel& channel = *channels_[i];
    if (&channel == current_ || channel.outstanding > 0) continue;
    destroy_handle(channel);
    if (!channel.watches.empty()) continue;
    channels_.erase(channels_.begin() + static_cast<std::ptrdiff_t>(i));
    --i;
  }
}

// One FORMERR without an OPT record makes c-ares give EDNS up for the whole channel, and then every
// answer over 512 octets goes over TCP: a new channel takes the next questions.
void CaresServer::renew_when_edns_is_off() {
  if (loop_.now() - renewed_ < kRenewPause) return;
  ares_options options{};
  int mask = 0;
  if (ares_save_options(current_->handle, &options, &mask) != ARES_SUCCESS) return;
  const bool edns_is_off = (options.flags & ARES_FLAG_EDNS) == 0;
  ares_destroy_options(&options);
  if (!edns_is_off) return;
  renewed_ = loop_.now();
  const Status status = open();
  if (!status.ok()) log(LogLevel::kWarning, message_of(status));
}

}  // namespace sluice
