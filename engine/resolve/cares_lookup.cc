#include "engine/resolve/cares_lookup.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "engine/base/strings.h"
#include "engine/resolve/cares_server.h"
#include "engine/resolve/server_health.h"
#include "engine/ring/gate.h"
#include "engine/ring/pause.h"

namespace sluice {
namespace {

using Failure = LookupAnswer::Failure;
using resolver_cache::Rcode;

constexpr Duration kTick = std::chrono::milliseconds(100);
constexpr size_t kServersMax = 32;

// Another server may know better.
bool is_useless(std::string_view packet) {
  const std::optional<resolver_cache::Message> message = resolver_cache::parse_message(packet);
  return !message || (message->rcode != Rcode::kNoError && message->rcode != Rcode::kNameError);
}

}  // namespace

class CaresLookup::Impl {
 public:
  Impl(Loop& loop, const CaresOptions& options) : loop_(loop), options_(options), pause_(loop) {}

  Status start();
  Task<LookupAnswer> lookup(std::string name, resolver_cache::RecordType type);
  Task<> close();
  const std::string& servers() const { return sets_.front()->text; }

 private:
  class Try;
  struct Question;

  struct Server {
    std::unique_ptr<CaresServer> door;
    ServerHealth health;
    uint32_t bit = 0;
    std::vector<std::unique_ptr<Try>> tries;  // under way
  };

  struct ServerSet {
    std::string suffix;  // empty: the default
    std::string text;
    std::vector<Server> servers;
    uint32_t asking = 0;  // questions
    std::deque<Question*> waiting;
  };

  // A question put to one server.
  class Try final : public CaresServer::Asked {
   public:
    Try(Impl& owner, ServerSet& of_set, Server& at, Question& about, Instant now)
        : impl(owner), set(of_set), server(at), question(&about), sent(now) {}
    void landed(Failure failure, std::string_view packet) override {
      impl.land(*this, failure, packet);
    }

    Impl& impl;
    ServerSet& set;
    Server& server;
    Question* question;  // null: it has its answer
    const Instant sent;
    size_t place = 0;  // among its server's
    Instant overdue_at{};
    bool probe = false;
    bool overdue = false;  // has failed; a late answer is welcome all the same
    bool beaten = false;   // another server had a useful answer
  };

  // Lives on the heap from its asking to its answer.
  struct Question {
    struct Useless {
      Server* server;
      Instant sent;
    };
    Signal signal;
    LookupAnswer answer;
    std::string packet;
    std::vector<Try*> tries;       // under way
    std::vector<Useless> useless;  // who answered without being of use; the first answer is kept
    uint32_t asked = 0;            // bits of the servers
    Instant give_up_at{};
    Failure failure = Failure::kTimeout;  // of the last try
    bool begun = false;
    bool wants_next = false;  // server
    bool helped = false;      // by a useful answer
    bool done = false;
  };

  Status add_set(std::string suffix, const std::vector<SocketAddress>& servers);
  ServerSet& set_of(std::string_view name);
  void begin(ServerSet& set, Question& question);
  void ask_next(ServerSet& set, Question& question);
  static Server* best_of(ServerSet& set, const Question& question);
  void ask(ServerSet& set, Question& question, Server& server, bool as_probe);
  void land(Try& attempt, Failure failure, std::string_view packet);
  void take_answer(Try& attempt, Question& question, std::string_view packet, bool useful);
  void become_overdue(Try& attempt);
  static bool is_given_up(const std::unique_ptr<Try>& attempt) {
    return attempt->overdue && attempt->question == nullptr;
  }
  static void end(Question& question, Failure failure);
  static void move_on(Question& question, Failure failure);
  void finish(ServerSet& set, Question& question);
  Task<> tick();

  Loop& loop_;
  const CaresOptions options_;
  std::vector<std::unique_ptr<ServerSet>> sets_;  // the default first
  Gate gate_;                                     // the servers' watches and the tick
  Pause pause_;                                   // of the tick
  uint32_t asking_ = 0;                           // questions of all sets
  uint32_t tries_ = 0;                            // the same
  bool ticking_ = false;
  bool closing_ = false;
};

Status CaresLookup::Impl::start() {
  std::vector<SocketAddress> servers = options_.servers;
  if (servers.empty()) {
    ASSIGN_OR_RETURN(servers, system_name_servers());
  }
  RETURN_IF_ERROR(add_set("", servers));
  for (const DnsRoute& route : options_.routes) {
    if (route.servers.empty()) continue;
    RETURN_IF_ERROR(add_set(route.suffix, route.servers));
  }
  return absl::OkStatus();
}

Status CaresLookup::Impl::add_set(std::string suffix, const std::vector<SocketAddress>& servers) {
  auto set = std::make_unique<ServerSet>();
  set->suffix = std::move(suffix);
  std::vector<std::string> texts;
  for (size_t i = 0; i < std::min(servers.size(), kServersMax); ++i) {
    Server& server = set->servers.emplace_back();
    server.door = std::make_unique<CaresServer>(loop_, gate_, servers[i], options_.try_timeout,
                                                options_.tries);
    server.bit = 1U << i;
    RETURN_IF_ERROR(server.door->open());
    texts.push_back(server.door->text());
  }
  set->text = join(texts, ", ");
  sets_.push_back(std::move(set));
  return absl::OkStatus();
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
  answer.foreign = !set.suffix.empty();
  resolver_cache::Query query;
  query.name = std::move(name);
  query.type = type;
  std::optional<std::string> packet = resolver_cache::encode_query(query);
  if (closing_) {
    answer.failure = Failure::kClosed;
  } else if (!packet) {
    answer.failure = Failure::kBadName;
  } else if (set.asking >= options_.outstanding_max && set.waiting.size() >= options_.waiting_max) {
    answer.failure = Failure::kOverloaded;
  }
  if (answer.failure != Failure::kNone) co_return std::move(answer);

  question->packet = std::move(*packet);
  if (set.asking < options_.outstanding_max) {
    begin(set, *question);
  } else {
    set.waiting.push_back(question.get());
  }
  while (!question->done) {
    if (question->wants_next) {
      ask_next(set, *question);
    } else {
      co_await question->signal;
    }
  }
  finish(set, *question);
  co_return std::move(answer);
}

void CaresLookup::Impl::begin(ServerSet& set, Question& question) {
  const Instant now = loop_.now();
  question.begun = true;
  question.give_up_at = now + options_.total_timeout;
  ++set.asking;
  ++asking_;
  ask_next(set, question);
  if (set.servers.size() == 1) return;
  for (Server& server : set.servers) {
    if ((question.asked & server.bit) == 0 && server.health.probe_due(now)) {
      ask(set, question, server, true);
    }
  }
}

void CaresLookup::Impl::ask_next(ServerSet& set, Question& question) {
  question.wants_next = false;
  for (Try* attempt : question.tries) {
    if (!attempt->overdue) return;  // its answer is on its way
  }
  Server* next = best_of(set, question);
  if (next != nullptr && !closing_ && loop_.now() < question.give_up_at) {
    ask(set, question, *next, false);
    return;
  }
  // Nobody is left but those who are asked again and again.
  if (!question.tries.empty() && question.useless.empty()) return;
  end(question, closing_ ? Failure::kClosed : question.failure);
}

// Of those that were not asked; null: none is left.
CaresLookup::Impl::Server* CaresLookup::Impl::best_of(ServerSet& set, const Question& question) {
  Server* best = nullptr;
  for (Server& server : set.servers) {
    if ((question.asked & server.bit) != 0) continue;
    if (best == nullptr || server.health.precedes(best->health)) best = &server;
  }
  return best;
}

void CaresLookup::Impl::ask(ServerSet& set, Question& question, Server& server, bool as_probe) {
  const Instant now = loop_.now();
  auto attempt = std::make_unique<Try>(*this, set, server, question, now);
  attempt->overdue_at = std::min(now + options_.try_timeout, question.give_up_at);
  attempt->probe = as_probe;
  attempt->place = server.tries.size();
  if (as_probe) server.health.probe_begins();
  question.asked |= server.bit;
  question.tries.push_back(attempt.get());
  server.tries.push_back(std::move(attempt));
  ++tries_;
  if (!ticking_) {
    ticking_ = true;
    gate_.spawn(tick());
  }
  Try& asked = *server.tries.back();
  server.door->ask(question.packet, asked);
}

void CaresLookup::Impl::land(Try& attempt, Failure failure, std::string_view packet) {
  const Instant now = loop_.now();
  Server& server = attempt.server;
  Question* question = attempt.question;
  if (question != nullptr) std::erase(question->tries, &attempt);
  if (attempt.probe) server.health.probe_ended();
  const bool answered = failure == Failure::kNone;
  const bool useful = answered && (attempt.set.servers.size() == 1 || !is_useless(packet));
  const bool silent = failure == Failure::kTimeout || failure == Failure::kUnreachable;
  if (useful) {
    server.health.answered(attempt.sent, now);
  } else if ((silent && !attempt.overdue) || (answered && attempt.beaten)) {
    server.health.failed(attempt.sent, now);
  }
  if (question != nullptr && !question->done) {
    if (answered) {
      take_answer(attempt, *question, packet, useful);
    } else if (!silent) {
      end(*question, failure);
    } else {
      move_on(*question, failure);
    }
  }
  --tries_;
  const size_t place = attempt.place;
  server.tries.back()->place = place;
  std::swap(server.tries[place], server.tries.back());
  server.tries.pop_back();
}

void CaresLookup::Impl::take_answer(Try& attempt, Question& question, std::string_view packet,
                                    bool useful) {
  if (useful || question.useless.empty()) {
    question.answer.packet = packet;
    question.answer.server = attempt.server.door->text();
  }
  if (useful) {
    for (const Question::Useless& other : question.useless) {
      other.server->health.failed(other.sent, loop_.now());
    }
    question.helped = true;
    end(question, Failure::kNone);
    return;
  }
  question.useless.push_back({&attempt.server, attempt.sent});
  move_on(question, Failure::kNone);
}

void CaresLookup::Impl::become_overdue(Try& attempt) {
  attempt.overdue = true;
  attempt.server.health.failed(attempt.sent, loop_.now());
  if (std::exchange(attempt.probe, false)) attempt.server.health.probe_ended();
  if (attempt.question != nullptr) move_on(*attempt.question, Failure::kTimeout);
}

void CaresLookup::Impl::move_on(Question& question, Failure failure) {
  question.failure = failure;
  question.wants_next = true;
  question.signal.notify();
}

void CaresLookup::Impl::end(Question& question, Failure failure) {
  const bool has_packet = !question.answer.packet.empty() && failure != Failure::kClosed;
  question.answer.failure = has_packet ? Failure::kNone : failure;
  if (!has_packet) question.answer.packet.clear();
  question.done = true;
  question.signal.notify();
}

void CaresLookup::Impl::finish(ServerSet& set, Question& question) {
  if (!question.begun) return;  // closed while it waited
  for (Try* attempt : question.tries) {
    attempt->question = nullptr;
    attempt->beaten = question.helped;
  }
  --set.asking;
  --asking_;
  if (set.waiting.empty() || closing_) return;
  Question& next = *set.waiting.front();
  set.waiting.pop_front();
  begin(set, next);
}

Task<> CaresLookup::Impl::tick() {
  while (tries_ > 0 && !closing_) {
    co_await pause_.lasting(kTick);
    if (closing_) break;
    const Instant now = loop_.now();
    for (const std::unique_ptr<ServerSet>& set : sets_) {
      for (Server& server : set->servers) {
        for (const std::unique_ptr<Try>& attempt : server.tries) {
          if (!attempt->overdue && now >= attempt->overdue_at) become_overdue(*attempt);
          Question* question = attempt->question;
          if (question == nullptr || question->done || now < question->give_up_at) continue;
          end(*question, Failure::kTimeout);
        }
        // A bad server is not asked again for what another has answered.
        if (std::all_of(server.tries.begin(), server.tries.end(), &Impl::is_given_up)) {
          server.door->cancel();
        }
        server.door->tick();
      }
    }
  }
  ticking_ = false;
}

Task<> CaresLookup::Impl::close() {
  closing_ = true;
  pause_.cut();
  for (const std::unique_ptr<ServerSet>& set : sets_) {
    for (Question* question : set->waiting) end(*question, Failure::kClosed);
    set->waiting.clear();
    for (const Server& server : set->servers) server.door->close();
  }
  Task<> closing = gate_.close();
  co_await std::move(closing);
  while (asking_ > 0) co_await yield();
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
