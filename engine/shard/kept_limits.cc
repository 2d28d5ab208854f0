// The part of the intake that keeps the limits over restarts (engine/record/limits_file.h).
#include <memory>
#include <string>
#include <utility>

#include "engine/base/log.h"
#include "engine/record/limits_file.h"
#include "engine/shard/file_tasks.h"
#include "engine/shard/intake.h"
#include "engine/shard/shard.h"

namespace sluice {

Task<Status> Intake::load_limits() {
  Peers& peers = home_.peers();
  const std::string path = SpoolPaths::child(peers.spool.root, kLimitsFileName);
  const auto files = std::make_unique<FileTasks>(home_.loop());
  const StatusOr<std::string> text = co_await files->read_whole(path, kLimitsFileBytesMax);
  LimitsFound found = judge_limits(text, ran_before_);
  if (!found.warning.empty()) log(LogLevel::kWarning, path + ": " + found.warning);
  if (!text.ok() || found.start == LimitsStart::kClean) {
    // Before the first permit: should this process be killed, the file must not speak for it.
    std::string unclean = limits_text(LimitsFile{});
    const Status written = co_await files->write_durably(path, std::move(unclean));
    if (!written.ok()) co_return written;
  }
  peers.shared_limits.begin(found.start, found.saved, home_.now(), home_.wall_now());
  co_return Status();
}

Task<Status> Intake::save_limits() {
  Peers& peers = home_.peers();
  const std::string path = SpoolPaths::child(peers.spool.root, kLimitsFileName);
  const auto files = std::make_unique<FileTasks>(home_.loop());
  LimitsFile file;
  file.clean = true;
  file.saved = peers.shared_limits.save(home_.io().now(), home_.wall_now());
  std::string text = limits_text(file);
  const Status written = co_await files->write_durably(path, std::move(text));
  if (!written.ok()) {
    log(LogLevel::kWarning, "limits begin as if they had just been used up after the next start: " +
                                message_of(written));
  }
  co_return written;
}

}  // namespace sluice
