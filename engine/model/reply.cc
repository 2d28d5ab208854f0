#include "engine/model/reply.h"

namespace sluice {

std::string to_string(EnhancedCode code) {
  if (!code.present()) return {};
  return std::to_string(code.klass) + "." + std::to_string(code.subject) + "." +
         std::to_string(code.detail);
}

}  // namespace sluice
