// A simulated receiver and a sender that has mail for it without end, in pretended time.
//
// PURPOSE. Shows what a rule of concurrency makes of a receiver: how much is delivered, how many
// connection attempts are in vain. No network, no clock: equal seeds give equal figures.
// A connection costs a round trip to dial, half of one until the receiver has decided, a whole one
// more until it is greeted; its messages go one after the other; QUIT costs a round trip, half of
// which the receiver still counts it. All times vary by a tenth.
// OWNERSHIP. The sender refers to its rule and receiver. THREAD. One.
// LIMITS. Memory for one event a connection.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <string>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/time.h"

namespace sluice::feedback {

inline constexpr Duration kRoundTrip = 50ms;

// What a receiver does at a time, and how it is dealt with.
struct Receiver {
  std::string name;
  Duration length{};                    // of the run
  Duration trouble_ends{};              // recovery is counted from here
  uint32_t policy_limit = 100;          // the sender's connection_limit
  uint32_t messages_a_connection = 50;  // then the sender ends it
  std::function<uint32_t(Duration)> served = [](Duration) { return UINT32_MAX; };
  std::function<bool(Duration)> is_dead = [](Duration) { return false; };
  std::function<double(Duration)> sheds = [](Duration) { return 0.0; };
  // Of a message, with so many connections open.
  std::function<Duration(uint32_t)> message = [](uint32_t) { return Duration(100ms); };
};

// A rule of concurrency under test.
class Rule {
 public:
  struct Failure {
    Instant began{};
    uint32_t beside = 0;    // open or being dialled when it began
    uint32_t greeted = 0;   // others
    uint32_t dialling = 0;  // others
    uint32_t working = 0;   // of the greeted, with a message answered
  };
  Rule() = default;
  Rule(const Rule&) = delete;
  Rule& operator=(const Rule&) = delete;
  virtual ~Rule() = default;

  virtual uint32_t limit(uint32_t policy_limit, uint32_t greeted, Instant now) = 0;
  // A connection that began at `began` beside so many; now `greeted` are, of `open`.
  virtual void greeted(Instant /*began*/, uint32_t /*beside*/, uint32_t /*greeted*/,
                       uint32_t /*open*/, uint32_t /*policy_limit*/, Instant /*now*/) {}
  virtual void accepted(bool /*first*/, uint32_t /*open*/, uint32_t /*policy_limit*/,
                        Instant /*now*/) {}
  virtual void failed(const Failure& /*failure*/, Instant /*now*/) {}
  virtual Instant wake_at(Instant now) = 0;  // limit() may rise then; min() when it does not
};

struct Outcome {
  std::vector<uint32_t> delivered;  // in each second
  uint64_t deliveries = 0;
  uint64_t attempts = 0;
  uint64_t failures = 0;
  uint32_t open_last = 0;
};

class Sender {
 public:
  Sender(const Receiver& receiver, Rule& rule, uint64_t seed)
      : receiver_(receiver), rule_(rule), random_(seed) {}

  Outcome run() {
    outcome_.delivered.resize(static_cast<size_t>(to_seconds(receiver_.length)));
    const Instant end = kBegin + receiver_.length;
    dial_more();
    while (!events_.empty() && events_.top().at < end) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      happen(event);
      dial_more();
    }
    outcome_.open_last = greeted_;
    return outcome_;
  }

 private:
  static constexpr Instant kBegin = Instant(1h);
  enum class Kind : uint8_t { kWake, kDecided, kRefused, kGreeted, kMessage, kQuit, kGone };
  struct Event {
    Instant at{};
    uint64_t order = 0;
    Kind kind{};
    uint32_t connection = 0;
    bool operator<(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  struct Connection {
    Instant began{};
    uint32_t beside = 0;
    bool working = false;
    uint32_t left = 0;
  };

  Duration since_begin() const { return now_ - kBegin; }

  void plan(Duration after, Kind kind, uint32_t connection) {
    const double factor = 0.9 + 0.2 * random_.fraction();
    const auto spread = Duration(static_cast<int64_t>(static_cast<double>(after.count()) * factor));
    events_.push({now_ + spread, ++order_, kind, connection});
  }

  void dial_more() {
    while (open_ < rule_.limit(receiver_.policy_limit, greeted_, now_)) {
      uint32_t number = static_cast<uint32_t>(connections_.size());
      if (free_.empty()) {
        connections_.emplace_back();
      } else {
        number = free_.back();
        free_.pop_back();
      }
      connections_[number] = {now_, open_, false, receiver_.messages_a_connection};
      ++open_;
      ++outcome_.attempts;
      if (receiver_.is_dead(since_begin())) {
        plan(kRoundTrip, Kind::kRefused, number);
      } else {
        plan(3 * kRoundTrip / 2, Kind::kDecided, number);
      }
    }
    const Instant wake = rule_.wake_at(now_);
    if (wake <= now_ || wake == kForever || wake == wake_at_) return;
    wake_at_ = wake;
    events_.push({wake, ++order_, Kind::kWake, 0});
  }

  void happen(const Event& event) {
    if (event.kind == Kind::kWake) return;
    Connection& connection = connections_[event.connection];
    switch (event.kind) {
      case Kind::kWake:
        break;
      case Kind::kDecided:
        if (receiver_.is_dead(since_begin()) || served_ >= receiver_.served(since_begin()) ||
            random_.fraction() < receiver_.sheds(since_begin())) {
          plan(kRoundTrip / 2, Kind::kRefused, event.connection);
        } else {
          ++served_;
          plan(3 * kRoundTrip / 2, Kind::kGreeted, event.connection);
        }
        break;
      case Kind::kRefused:
        ++outcome_.failures;
        --open_;
        free_.push_back(event.connection);
        rule_.failed({connection.began, connection.beside, greeted_, open_ - greeted_, working_},
                     now_);
        break;
      case Kind::kGreeted:
        ++greeted_;
        rule_.greeted(connection.began, connection.beside, greeted_, open_, receiver_.policy_limit,
                      now_);
        plan(receiver_.message(served_), Kind::kMessage, event.connection);
        break;
      case Kind::kMessage:
        on_message(connection, event.connection);
        break;
      case Kind::kQuit:
        --served_;
        plan(kRoundTrip / 2, Kind::kGone, event.connection);
        break;
      case Kind::kGone:
        if (connection.working) --working_;
        --greeted_;
        --open_;
        free_.push_back(event.connection);
        break;
    }
  }

  void on_message(Connection& connection, uint32_t number) {
    if (receiver_.is_dead(since_begin())) {  // broken off
      --served_;
      plan(Duration(1ms), Kind::kGone, number);
      return;
    }
    ++outcome_.deliveries;
    ++outcome_.delivered[static_cast<size_t>(to_seconds(since_begin()))];
    const bool first = !connection.working;
    if (first) {
      connection.working = true;
      ++working_;
    }
    rule_.accepted(first, open_, receiver_.policy_limit, now_);
    if (--connection.left == 0) {
      plan(kRoundTrip / 2, Kind::kQuit, number);
    } else {
      plan(receiver_.message(served_), Kind::kMessage, number);
    }
  }

  const Receiver& receiver_;
  Rule& rule_;
  Random random_;
  Instant now_ = kBegin;
  Instant wake_at_ = Instant::min();
  uint64_t order_ = 0;
  std::priority_queue<Event> events_;
  std::vector<Connection> connections_;
  std::vector<uint32_t> free_;
  uint32_t open_ = 0;     // as the sender counts, with those being dialled
  uint32_t greeted_ = 0;  // of these
  uint32_t working_ = 0;  // of these
  uint32_t served_ = 0;   // as the receiver counts
  Outcome outcome_;
};

}  // namespace sluice::feedback
