// Accepted messages as files, named as a maildir names them.
//
// DIR/new/<time>.<worker>_<number>.sink: two kinds of lines "X-Envelope-From: <a@b>" and one
// "X-Envelope-To: <c@d>" a recipient, then the content as it was meant (dots removed). Written to
// DIR/tmp and renamed; not synced. One worker's. Blocking: for tests and demos, not for speed.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/status.h"
#include "tools/sink/session.h"

namespace sluice::sink {

class Store {
 public:
  Store(std::string directory, uint32_t worker)
      : directory_(std::move(directory)), worker_(worker) {}

  // Makes DIR, DIR/tmp and DIR/new where they are missing.
  static Status prepare(const std::string& directory);
  Status write(const Message& message);

 private:
  const std::string directory_;
  const uint32_t worker_;
  uint64_t number_ = 0;
};

}  // namespace sluice::sink
