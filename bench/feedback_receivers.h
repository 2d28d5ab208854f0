// The receivers that rules of concurrency are shown with.
#pragma once

#include <vector>

#include "bench/feedback_world.h"

namespace sluice::feedback {

inline bool within(Duration since, Duration from, Duration until) {
  return since >= from && since < until;
}

inline Receiver unlimited() {
  Receiver receiver;
  receiver.name = "no limit (policy 1,000)";
  receiver.length = 5min;
  receiver.policy_limit = 1'000;
  return receiver;
}

inline Receiver hidden_limit() {
  Receiver receiver;
  receiver.name = "serves 8";
  receiver.length = 1h;
  receiver.served = [](Duration) { return 8U; };
  return receiver;
}

inline Receiver hidden_limit_short() {
  Receiver receiver = hidden_limit();
  receiver.name = "serves 8, 5 messages a connection";
  receiver.messages_a_connection = 5;
  return receiver;
}

inline Receiver changing_limit() {
  Receiver receiver;
  receiver.name = "serves 50, for 10 min 10, then 50";
  receiver.length = 40min;
  receiver.trouble_ends = 20min;
  receiver.served = [](Duration since) { return within(since, 10min, 20min) ? 10U : 50U; };
  return receiver;
}

inline Receiver shedding(double share) {
  Receiver receiver;
  receiver.name = "refuses three of ten for a minute";
  receiver.length = 5min;
  receiver.trouble_ends = 2min;
  receiver.sheds = [share](Duration since) { return within(since, 1min, 2min) ? share : 0.0; };
  return receiver;
}

inline Receiver shedding_short() {
  Receiver receiver = shedding(0.3);
  receiver.name = "the same, 5 messages a connection";
  receiver.messages_a_connection = 5;
  return receiver;
}

inline Receiver shedding_few() {
  Receiver receiver = shedding(0.3);
  receiver.name = "the same, policy 5";
  receiver.policy_limit = 5;
  return receiver;
}

// `messages` a connection. With one, each failure stands beside few successes.
inline Receiver broken_host(uint32_t messages) {
  Receiver receiver;
  receiver.name = "one of 4 hosts behind an address is broken";
  if (messages == 1) receiver.name = "the same, 1 message a connection";
  receiver.length = 30min;
  receiver.messages_a_connection = messages;
  receiver.sheds = [](Duration) { return 0.25; };
  return receiver;
}

inline Receiver dead() {
  Receiver receiver;
  receiver.name = "dead for 10 min";
  receiver.length = 40min;
  receiver.trouble_ends = 20min;
  receiver.is_dead = [](Duration since) { return within(since, 10min, 20min); };
  return receiver;
}

inline Receiver slow() {
  Receiver receiver;
  receiver.name = "slower beyond 50, refuses beyond 80";
  receiver.length = 10min;
  receiver.served = [](Duration) { return 80U; };
  receiver.message = [](uint32_t open) { return Duration(100ms) * std::max(open, 50U) / 50; };
  return receiver;
}

inline std::vector<Receiver> receivers() {
  return {unlimited(),      hidden_limit(),  hidden_limit_short(),
          changing_limit(), shedding(0.3),   shedding_short(),
          shedding_few(),   broken_host(50), broken_host(1),
          dead(),           slow()};
}

}  // namespace sluice::feedback
