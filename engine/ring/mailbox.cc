#include "engine/ring/mailbox.h"

#include <utility>

namespace sluice {

struct Mailbox::Node {
  Message message;
  Node* next = nullptr;
};

Mailbox::~Mailbox() {
  Node* node = head_.exchange(nullptr, std::memory_order_acquire);
  while (node != nullptr) delete std::exchange(node, node->next);
}

bool Mailbox::post(Message message) {
  if (count_.fetch_add(1, std::memory_order_relaxed) >= entries_max_) {
    count_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  Node* before = head_.load(std::memory_order_relaxed);
  Node* node = new Node{std::move(message), before};
  while (!head_.compare_exchange_weak(before, node, std::memory_order_release,
                                      std::memory_order_relaxed)) {
    node->next = before;
  }
  // From here on the node is the reader's: it may be gone already.
  if (before == nullptr) io_.wake();
  return true;
}

uint32_t Mailbox::run_all() {
  Node* taken = head_.exchange(nullptr, std::memory_order_acquire);
  Node* in_order = nullptr;
  while (taken != nullptr) {
    Node* next = taken->next;
    taken->next = in_order;
    in_order = taken;
    taken = next;
  }
  uint32_t ran = 0;
  while (in_order != nullptr) {
    Node* node = std::exchange(in_order, in_order->next);
    node->message();
    delete node;
    ++ran;
  }
  count_.fetch_sub(ran, std::memory_order_relaxed);
  return ran;
}

}  // namespace sluice
