#include "engine/resolve/cares_lookup.h"

#include <ares.h>
#include <poll.h>

#include <algorithm>
#include <bitset>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/base/strings.h"
#include "engine/ring/gate.h"
#include "engine/ring/operation.h"
#include "engine/ring/pause.h"

namespace sluice {
namespace {

using Failure = LookupAnswer::Failure;

constexpr Duration kTick = std::chrono::milliseconds(100);
// A server that answers FORMERR to EDNS does so again: its channel is renewed no more often.
constexpr Duration kRenewPause = std::chrono::minutes(1);
constexpr int kSocketBufferBytes = 1 << 20;
constexpr uint16_t kDnsPort = 53;

bool is_loopback(const IpAddress& address) {
  if (address.family == Family::kIpv4) return address.octets[0] == 127;
  IpAddress one;
  one.family = Family::kIpv6;
  one.octets[15] = 1;
  return address == one;
}

std::string servers_text(const std::vector<SocketAddress>& servers, std::string_view separator) {
  std::vector<std::string> parts;
  for (const SocketAddress& server : servers) parts.push_back(to_string(server));
  return join(parts, separator);
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

// What c-ares finds in /etc/resolv.conf.
StatusOr<std::vector<SocketAddress>> system_servers() {
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

}  // namespace

class CaresLookup::Impl {
 public:
  Impl(Loop& loop, const CaresOptions& options) : loop_(loop), options_(options), pause_(loop) {}
  ~Impl();

  Status start();
  Task<LookupAnswer> lookup(std::string name, resolver_cache::RecordType type);
  Task<> close();
  const std::string& servers() const { return sets_.front()->text; }

 private:
  struct Channel;

  // One question; lives on the heap from its asking to its answer.
  struct Question {
    Signal signal;
    LookupAnswer answer;
    std::string packet;
    Channel* channel = nullptr;  // null: waits for its turn
    uint16_t id = 0;
    bool done = false;
  };

  // One socket of c-ares, with the poll operation on it. Outlives the socket until that ends.
  struct Watch {
    explicit Watch(int socket) : descriptor(socket) {}
    const int descriptor;
    uint32_t wanted = 0;
    uint32_t armed = 0;
    bool gone = false;  // c-ares closes the socket
    bool cancelling = false;
    Signal signal;
    Operation operation{signal};
  };

  struct ServerSet {
    std::string suffix;  // empty: the default
    std::vector<SocketAddress> servers;
    std::string text;
    bool over_tcp = false;
    Channel* current = nullptr;
    std::vector<std::unique_ptr<Channel>> channels;  // current, and older ones that run dry
    uint32_t outstanding = 0;
    std::deque<Question*> waiting;
    Instant renewed{};
  };

  struct Channel {
    Impl* impl = nullptr;
    ares_channel handle = nullptr;  // null: destroyed, only watches are left
    uint32_t outstanding = 0;
    std::bitset<65'536> ids;
    std::vector<std::unique_ptr<Watch>> watches;
  };

  static void on_answer(void* argument, int status, int timeouts, unsigned char* bytes, int length);
  static void on_socket_state(void* argument, ares_socket_t socket, int readable, int writable);

  Status add_set(std::string suffix, std::vector<SocketAddress> servers);
  Status open_channel(ServerSet& set);
  static void destroy_handle(Channel& channel);
  ServerSet& set_of(std::string_view name);
  void send(ServerSet& set, Question& question);
  void finish(ServerSet& set, Question& question);
  void set_interest(Channel& channel, int socket, uint32_t wanted);
  Task<> watch_socket(Channel& channel, Watch& watch);
  static void process(Channel& channel, const Watch& watch, const IoResult& result);
  Task<> tick();
  void renew_when_edns_is_off(ServerSet& set);

  Loop& loop_;
  const CaresOptions options_;
  std::vector<std::unique_ptr<ServerSet>> sets_;  // the default first
  Gate gate_;                                     // watches and the tick
  Pause pause_;                                   // of the tick
  uint32_t outstanding_ = 0;                      // of all sets
  bool ticking_ = false;
  bool closing_ = false;
};

// Without close() only a start that failed ends here: then no socket is open.
CaresLookup::Impl::~Impl() {
  for (const std::unique_ptr<ServerSet>& set : sets_) {
    for (const std::unique_ptr<Channel>& channel : set->channels) destroy_handle(*channel);
  }
}

Status CaresLookup::Impl::start() {
  static std::once_flag once;
  static int library = ARES_SUCCESS;
  std::call_once(once, [] { library = ares_library_init(ARES_LIB_INIT_ALL); });
  if (library != ARES_SUCCESS) {
    return unavailable(std::string("DNS: c-ares cannot start: ") + ares_strerror(library));
  }
  std::vector<SocketAddress> servers = options_.servers;
  if (servers.empty()) {
    ASSIGN_OR_RETURN(servers, system_servers());
  }
  RETURN_IF_ERROR(add_set("", std::move(servers)));
  for (const DnsRoute& route : options_.routes) {
    if (route.servers.empty()) continue;
    RETURN_IF_ERROR(add_set(route.suffix, route.servers));
  }
  return absl::OkStatus();
}

Status CaresLookup::Impl::add_set(std::string suffix, std::vector<SocketAddress> servers) {
  auto set = std::make_unique<ServerSet>();
  set->suffix = std::move(suffix);
  set->text = servers_text(servers, ", ");
  set->over_tcp = !std::all_of(servers.begin(), servers.end(),
                               [](const SocketAddress& s) { return is_loopback(s.ip); });
  set->servers = std::move(servers);
  sets_.push_back(std::move(set));
  return open_channel(*sets_.back());
}

Status CaresLookup::Impl::open_channel(ServerSet& set) {
  auto channel = std::make_unique<Channel>();
  channel->impl = this;
  ares_options options{};
  options.flags = ARES_FLAG_STAYOPEN | ARES_FLAG_EDNS | ARES_FLAG_NOCHECKRESP;
  if (set.over_tcp) options.flags |= ARES_FLAG_USEVC;
  options.timeout = static_cast<int>(options_.try_timeout / std::chrono::milliseconds(1));
  options.tries = options_.tries;
  options.ednspsz = resolver_cache::kEdnsPayloadBytes;
  options.socket_send_buffer_size = kSocketBufferBytes;
  options.socket_receive_buffer_size = kSocketBufferBytes;
  options.sock_state_cb = &Impl::on_socket_state;
  options.sock_state_cb_data = channel.get();
  const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
                   ARES_OPT_SOCK_SNDBUF | ARES_OPT_SOCK_RCVBUF | ARES_OPT_SOCK_STATE_CB;
  int status = ares_init_options(&channel->handle, &options, mask);
  if (status == ARES_SUCCESS) {
    const std::string list = servers_text(set.servers, ",");
    status = ares_set_servers_ports_csv(channel->handle, list.c_str());
    if (status != ARES_SUCCESS) ares_destroy(channel->handle);
  }
  if (status != ARES_SUCCESS) {
    return unavailable("DNS: c-ares refuses the servers " + set.text + ": " +
                       ares_strerror(status));
  }
  set.current = channel.get();
  set.channels.push_back(std::move(channel));
  return absl::OkStatus();
}

void CaresLookup::Impl::destroy_handle(Channel& channel) {
  if (channel.handle != nullptr) ares_destroy(std::exchange(channel.handle, nullptr));
}

CaresLookup::Impl::ServerSet& CaresLookup::Impl::set_of(std::string_view name) {
  ServerSet* best = sets_.front().get();
  for (const std::unique_ptr<ServerSet>& set : sets_) {
    const std::string& suffix = set->suffix;
    if (suffix.size() <= best->suffix.size() || name.size() < suffix.size()) continue;
    const size_t before = name.size() - suffix.size();
    if (name.substr(before) != suffix) continue;
    if (before == 0 || name[before - 1] == '.') best = set.get();
  }
  return *best;
}

Task<LookupAnswer> CaresLookup::Impl::lookup(std::string name, resolver_cache::RecordType type) {
  ServerSet& set = set_of(name);
  const auto question = std::make_unique<Question>();
  LookupAnswer& answer = question->answer;
  answer.server = set.text;
  resolver_cache::Query query;
  query.name = std::move(name);
  query.type = type;
  std::optional<std::string> packet = resolver_cache::encode_query(query);
  if (closing_) {
    answer.failure = Failure::kClosed;
  } else if (!packet) {
    answer.failure = Failure::kBadName;
  } else if (set.outstanding >= options_.outstanding_max &&
             set.waiting.size() >= options_.waiting_max) {
    answer.failure = Failure::kOverloaded;
  }
  if (answer.failure != Failure::kNone) co_return std::move(answer);

  question->packet = std::move(*packet);
  if (set.outstanding < options_.outstanding_max) {
    send(set, *question);
  } else {
    set.waiting.push_back(question.get());
  }
  while (!question->done) co_await question->signal;
  finish(set, *question);
  co_return std::move(answer);
}

void CaresLookup::Impl::send(ServerSet& set, Question& question) {
  Channel& channel = *set.current;
  question.channel = &channel;
  do {
    question.id = static_cast<uint16_t>(loop_.io().random().below(65'536));
  } while (channel.ids[question.id]);
  channel.ids.set(question.id);
  question.packet[0] = static_cast<char>(question.id >> 8);
  question.packet[1] = static_cast<char>(question.id & 0xFF);
  ++channel.outstanding;
  ++set.outstanding;
  ++outstanding_;
  if (!ticking_) {
    ticking_ = true;
    gate_.spawn(tick());
  }
  // The answer may come before this returns.
  ares_send(channel.handle, reinterpret_cast<const unsigned char*>(question.packet.data()),
            static_cast<int>(question.packet.size()), &Impl::on_answer, &question);
}

void CaresLookup::Impl::on_answer(void* argument, int status, int /*timeouts*/,
                                  unsigned char* bytes, int length) {
  auto& question = *static_cast<Question*>(argument);
  question.answer.failure = failure_of(status);
  if (status == ARES_SUCCESS && bytes != nullptr && length > 0) {
    question.answer.packet.assign(reinterpret_cast<const char*>(bytes),
                                  static_cast<size_t>(length));
  }
  question.done = true;
  question.signal.notify();
}

void CaresLookup::Impl::finish(ServerSet& set, Question& question) {
  if (question.channel == nullptr) return;  // never sent: closed while it waited
  question.channel->ids.reset(question.id);
  --question.channel->outstanding;
  --set.outstanding;
  --outstanding_;
  if (set.waiting.empty() || closing_) return;
  Question& next = *set.waiting.front();
  set.waiting.pop_front();
  send(set, next);
}

void CaresLookup::Impl::on_socket_state(void* argument, ares_socket_t socket, int readable,
                                        int writable) {
  auto& channel = *static_cast<Channel*>(argument);
  const unsigned wanted = (readable != 0 ? POLLIN : 0U) | (writable != 0 ? POLLOUT : 0U);
  channel.impl->set_interest(channel, socket, wanted);
}

void CaresLookup::Impl::set_interest(Channel& channel, int socket, uint32_t wanted) {
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

Task<> CaresLookup::Impl::watch_socket(Channel& channel, Watch& watch) {
  while (!watch.gone) {
    watch.armed = watch.wanted;
    loop_.io().poll(watch.operation, watch.descriptor, watch.wanted);
    while (!watch.operation.done()) co_await watch.signal;
    const IoResult result = watch.operation.take();
    watch.cancelling = false;
    if (!watch.gone && result.error != IoError::kCancelled) process(channel, watch, result);
  }
  const auto is_it = [&watch](const std::unique_ptr<Watch>& w) { return w.get() == &watch; };
  channel.watches.erase(std::find_if(channel.watches.begin(), channel.watches.end(), is_it));
}

void CaresLookup::Impl::process(Channel& channel, const Watch& watch, const IoResult& result) {
  // An error is found by c-ares itself when it reads or writes.
  const auto ready = result.ok() ? static_cast<uint32_t>(result.value) : uint32_t{POLLERR};
  const bool broken = (ready & (POLLERR | POLLHUP | POLLNVAL)) != 0;
  const bool readable = (ready & POLLIN) != 0 || broken;
  const bool writable = (ready & POLLOUT) != 0 || (broken && (watch.wanted & POLLOUT) != 0);
  ares_process_fd(channel.handle, readable ? watch.descriptor : ARES_SOCKET_BAD,
                  writable ? watch.descriptor : ARES_SOCKET_BAD);
}

Task<> CaresLookup::Impl::tick() {
  while (outstanding_ > 0 && !closing_) {
    co_await pause_.lasting(kTick);
    if (closing_) break;
    for (const std::unique_ptr<ServerSet>& set : sets_) {
      for (const std::unique_ptr<Channel>& channel : set->channels) {
        if (channel->handle == nullptr || channel->outstanding == 0) continue;
        ares_process_fd(channel->handle, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      }
      renew_when_edns_is_off(*set);
    }
  }
  ticking_ = false;
}

// One FORMERR without an OPT record makes c-ares give EDNS up for the whole channel, and then every
// answer over 512 octets goes over TCP: a new channel takes the next questions.
void CaresLookup::Impl::renew_when_edns_is_off(ServerSet& set) {
  for (size_t i = 0; i < set.channels.size(); ++i) {
    Channel& channel = *set.channels[i];
    if (&channel == set.current || channel.outstanding > 0) continue;
    destroy_handle(channel);
    if (!channel.watches.empty()) continue;
    set.channels.erase(set.channels.begin() + static_cast<std::ptrdiff_t>(i));
    --i;
  }
  if (loop_.now() - set.renewed < kRenewPause) return;
  ares_options options{};
  int mask = 0;
  if (ares_save_options(set.current->handle, &options, &mask) != ARES_SUCCESS) return;
  const bool edns_is_off = (options.flags & ARES_FLAG_EDNS) == 0;
  ares_destroy_options(&options);
  if (!edns_is_off) return;
  set.renewed = loop_.now();
  const Status status = open_channel(set);
  if (!status.ok()) log(LogLevel::kWarning, message_of(status));
}

Task<> CaresLookup::Impl::close() {
  closing_ = true;
  pause_.cut();
  for (const std::unique_ptr<ServerSet>& set : sets_) {
    for (Question* question : set->waiting) {
      question->answer.failure = Failure::kClosed;
      question->done = true;
      question->signal.notify();
    }
    set->waiting.clear();
    for (const std::unique_ptr<Channel>& channel : set->channels) destroy_handle(*channel);
  }
  Task<> closing = gate_.close();
  co_await std::move(closing);
  while (outstanding_ > 0) co_await yield();
}

CaresOptions cares_options_of(const Configuration& configuration) {
  CaresOptions options;
  options.servers = configuration.dns.servers;
  options.routes = configuration.dns.routes;
  return options;
}

CaresLookup::CaresLookup(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

CaresLookup::~CaresLookup() = default;

StatusOr<std::unique_ptr<CaresLookup>> CaresLookup::create(Loop& loop,
                                                           const CaresOptions& options) {
  auto impl = std::make_unique<Impl>(loop, options);
  RETURN_IF_ERROR(impl->start());
  return std::unique_ptr<CaresLookup>(new CaresLookup(std::move(impl)));
}

Task<LookupAnswer> CaresLookup::lookup(std::string name, resolver_cache::RecordType type) {
  return impl_->lookup(std::move(name), type);
}

Task<> CaresLookup::close() { return impl_->close(); }

const std::string& CaresLookup::servers() const { return impl_->servers(); }

}  // namespace sluice
