// What makes a message genuine: the keys that sign it and those of its tokens. Read once when the
// program starts; shared and immutable; any thread.
#pragma once

#include <memory>

#include "engine/compose/dkim_key.h"
#include "engine/compose/token.h"

namespace sluice {

struct SenderKeys {
  std::shared_ptr<const DkimKeys> dkim;  // null: mail leaves unsigned
  TokenKeysPtr tokens;                   // null: tokens are made of "x"
};

}  // namespace sluice
