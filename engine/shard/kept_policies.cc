// The part of the intake that keeps MTA-STS policies over restarts (engine/resolve/sts_file.h).
#include <memory>
#include <string>
#include <utility>

#include "engine/base/log.h"
#include "engine/resolve/sts_file.h"
#include "engine/resolve/sts_store.h"
#include "engine/shard/file_tasks.h"
#include "engine/shard/intake.h"
#include "engine/shard/shard.h"

namespace sluice {

Task<> Intake::load_policies() {
  Peers& peers = home_.peers();
  if (peers.sts_store == nullptr) co_return;
  const std::string path = SpoolPaths::child(peers.spool.root, std::string(kStsFileName));
  const auto files = std::make_unique<FileTasks>(home_.loop());
  const StatusOr<std::string> text = co_await files->read_whole(path, kStsFileBytesMax);
  if (absl::IsNotFound(text.status())) co_return;
  const StatusOr<StsFile> file = text.ok() ? parse_sts_file(*text) : text.status();
  if (!file.ok()) {
    log(LogLevel::kWarning, path + ": " + message_of(file.status()) +
                                "; the domains' MTA-STS policies are fetched anew");
    co_return;
  }
  if (file->left_out > 0) {
    log(LogLevel::kWarning, path + ": " + std::to_string(file->left_out) +
                                " policies make no sense and are fetched anew");
  }
  peers.sts_store->restore(file->policies, home_.wall_now());
  policies_saved_ = peers.sts_store->version();
}

Task<Status> Intake::save_policies() {
  Peers& peers = home_.peers();
  if (peers.sts_store == nullptr || peers.sts_store->version() == policies_saved_) {
    co_return Status();
  }
  const uint64_t version = peers.sts_store->version();
  const std::string path = SpoolPaths::child(peers.spool.root, std::string(kStsFileName));
  const auto files = std::make_unique<FileTasks>(home_.loop());
  std::string text = sts_file_text(peers.sts_store->saved(home_.wall_now()));
  const Status written = co_await files->write_durably(path, std::move(text));
  if (written.ok()) {
    policies_saved_ = version;
    policies_complaint_.clear();
    co_return written;
  }
  const std::string why = message_of(written);
  if (std::exchange(policies_complaint_, why) == why) co_return written;
  log(LogLevel::kWarning, "MTA-STS policies do not outlive this process: " + why);
  co_return written;
}

}  // namespace sluice
