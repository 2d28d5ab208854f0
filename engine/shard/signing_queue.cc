#include "engine/shard/signing_queue.h"

#include <algorithm>
#include <utility>

#include "engine/shard/delivery.h"

namespace sluice {

void SigningQueue::ask(Connection& connection) {
  if (std::exchange(connection.waits_to_sign, true)) return;
  waiting_.push_back(&connection);
  changed_.notify();
}

bool SigningQueue::take_turn(Connection& connection) {
  return std::exchange(connection.may_sign, false);
}

void SigningQueue::leave(Connection& connection) {
  if (!std::exchange(connection.waits_to_sign, false)) return;
  waiting_.erase(std::find(waiting_.begin(), waiting_.end(), &connection));
}

Task<> SigningQueue::run() {
  while (!stopped_) {
    if (waiting_.empty()) {
      co_await changed_;
      continue;
    }
    co_await yield_late();
    if (waiting_.empty()) continue;
    Connection* next = waiting_.front();
    waiting_.pop_front();
    next->waits_to_sign = false;
    next->may_sign = true;
    next->channel.changed().notify();
  }
}

void SigningQueue::stop() {
  stopped_ = true;
  changed_.notify();
}

}  // namespace sluice
