#include "engine/base/status.h"

namespace sluice {

Status annotate(const Status& status, std::string_view prefix) {
  if (status.ok()) return status;
  std::string text(prefix);
  text += ": ";
  text += message_of(status);
  return {status.code(), text};
}

}  // namespace sluice
