#include "engine/resolve/web_wait.h"

#include <utility>

namespace sluice {

WebClient::Done WebWait::done() {
  return [self = shared_from_this()](WebAnswer answer) { self->leave(std::move(answer)); };
}

void WebWait::leave(WebAnswer answer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  answer_ = std::move(answer);
  if (mailbox_ == nullptr) return;
  (void)mailbox_->post([self = shared_from_this()] {
    if (self->pause_ != nullptr) self->pause_->cut();
  });
}

std::optional<WebAnswer> WebWait::take() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(answer_, std::nullopt);
}

void WebWait::end() {
  pause_ = nullptr;
  const std::lock_guard<std::mutex> lock(mutex_);
  mailbox_ = nullptr;
}

}  // namespace sluice
