// Whose messages are signed next: connections wait here while others' mail is signed.
//
// PURPOSE. A signature costs hundreds of microseconds, a reply a few: a connection that signed its
//   whole window at once would keep the replies of thousands of others waiting. So where messages
//   are signed a connection takes them only in its turn, a slice of kSlice, and turns are given out
//   when nothing else is ready to run (Executor::schedule_late): between two of them the ring is
//   asked for what has come.
// HOW IT RUNS. run() is one coroutine: gives the turn to the connection that has waited longest and
//   wakes it. Where nothing is signed (`needed` is false) nobody waits.
// OWNERSHIP. The shard's; a connection leaves before it dies.
// THREAD. The shard's. LIMITS. One entry a connection. A turn is a slice or one message, whichever
//   is longer.
#pragma once

#include <deque>

#include "engine/base/time.h"
#include "engine/ring/signal.h"
#include "engine/ring/task.h"

namespace sluice {

struct Connection;

class SigningQueue {
 public:
  // RSA with 2,048 bits twice, Ed25519 a whole window: what a turn of the loop costs is shared.
  static constexpr Duration kSlice = std::chrono::microseconds(500);

  explicit SigningQueue(bool needed) : needed_(needed) {}

  bool needed() const { return needed_; }
  // Waits for a turn, if it does not yet. The connection's channel is notified when it has come.
  void ask(Connection& connection);
  // True when it is this connection's turn, which is then over.
  bool take_turn(Connection& connection);
  // The connection ends.
  void leave(Connection& connection);

  // Until stop(). To be run once, by the shard.
  Task<> run();
  void stop();

 private:
  const bool needed_;
  bool stopped_ = false;
  std::deque<Connection*> waiting_;
  Signal changed_;
};

}  // namespace sluice
