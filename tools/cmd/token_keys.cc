#include "tools/cmd/token_keys.h"

#include <string_view>

#include "engine/base/digest.h"
#include "engine/spool/job_directory.h"
#include "tools/cmd/private_file.h"

namespace sluice::tools {
namespace {

constexpr std::string_view kHarm = "forge the addresses and links that name a recipient";

Status make_key(const std::string& path) {
  std::string key = make_token_key();
  Status written = write_private_file(path, key);
  cleanse(key);
  return written;
}

Status read_key(const std::string& configured, const std::string& of_spool, MissingKeys missing,
                std::string& key) {
  const std::string& path = configured.empty() ? of_spool : configured;
  if (configured.empty() && missing == MissingKeys::kMake) {
    Status made = make_key(path);
    if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
  }
  const std::string mend = configured.empty()
                               ? "it is made when sluice run starts for the first time"
                               : "make one with: umask 077; openssl rand -hex 32 > " + path;
  RETURN_IF_ERROR(read_private_file(path, kHarm, mend, key));
  const Status good = check_token_key(key);
  return good.ok() ? Status() : misconfigured(path + " " + std::string(good.message()));
}

}  // namespace

StatusOr<TokenKeysPtr> load_token_keys(const Configuration& config, MissingKeys missing) {
  const std::string& root = SpoolPaths(config.spool.path).root;
  std::string bounce;
  std::string unsubscribe;
  Status read = read_key(config.verp.key, root + "/verp.key", missing, bounce);
  if (read.ok()) {
    read = read_key(config.unsubscribe.key, root + "/unsubscribe.key", missing, unsubscribe);
  }
  StatusOr<TokenKeysPtr> keys =
      read.ok() ? TokenKeys::parse(bounce, unsubscribe) : StatusOr<TokenKeysPtr>(read);
  cleanse(bounce);
  cleanse(unsubscribe);
  return keys;
}

}  // namespace sluice::tools
