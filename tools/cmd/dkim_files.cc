#include "tools/cmd/dkim_files.h"

#include <string_view>
#include <utility>

#include "engine/base/digest.h"
#include "tools/cmd/private_file.h"

namespace sluice::tools {
namespace {

constexpr std::string_view kHarm = "sign as you";
constexpr std::string_view kMend =
    "make one with sluice dkim-key, or give it to the user that sluice runs as";

}  // namespace

StatusOr<std::shared_ptr<const DkimKeys>> load_dkim_keys(const std::vector<DkimEntry>& entries) {
  if (entries.empty()) return std::shared_ptr<const DkimKeys>();
  const auto keys = std::make_shared<DkimKeys>();
  std::string pem;
  for (const DkimEntry& entry : entries) {
    RETURN_IF_ERROR(read_private_file(entry.key, kHarm, kMend, pem));
    StatusOr<DkimKeyPtr> key = DkimKey::parse(entry, pem);
    cleanse(pem);
    if (!key.ok()) return key.status();
    keys->add(std::move(*key));
  }
  return std::shared_ptr<const DkimKeys>(keys);
}

Status write_dkim_key(const std::string& path, const std::string& pem) {
  Status written = write_private_file(path, pem);
  if (absl::IsAlreadyExists(written)) {
    return cannot_create(message_of(written) +
                         "; choose another selector: mail that is under way needs the old key's "
                         "record");
  }
  if (!absl::IsPermissionDenied(written)) return written;
  return cannot_create(message_of(written) +
                       "; make its folder, or name another one with --directory");
}

}  // namespace sluice::tools
