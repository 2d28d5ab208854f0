// An answer of the web on its way to a shard.
//
// HOW. done() is given to WebClient::ask(); the client's thread leaves the answer here and cuts the
//   shard's pause through its mailbox. The shard may be gone by then: it says so by end().
// OWNERSHIP. Shared by who waits and by what done() holds. Mailbox and pause outlive end().
// THREAD. The shard's, but for what done() gives, which may run anywhere. One lock, held to move an
//   answer.
// LIMITS. When the mailbox is full the pause is not cut: the answer is found at its end.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "engine/resolve/web.h"
#include "engine/ring/mailbox.h"
#include "engine/ring/pause.h"

namespace sluice {

class WebWait : public std::enable_shared_from_this<WebWait> {
 public:
  WebWait(Mailbox& mailbox, Pause& pause) : mailbox_(&mailbox), pause_(&pause) {}

  // REQUIRES: the object is held by a shared_ptr.
  WebClient::Done done();
  // The answer, once, when it is there.
  std::optional<WebAnswer> take();
  // Nobody waits any more.
  void end();

 private:
  void leave(WebAnswer answer);

  std::mutex mutex_;  // guards the next two
  std::optional<WebAnswer> answer_;
  Mailbox* mailbox_;
  Pause* pause_;  // the shard's thread alone
};

}  // namespace sluice
