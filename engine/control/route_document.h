// A domain's route with what it rests on, as the JSON document of /api/v1/resolve, and back.
//
// Pure. Errors: DataLoss for text that is no such document.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/shard/engine.h"

namespace sluice {

std::string route_document(const ExplainedRoute& explained);
StatusOr<ExplainedRoute> parse_route_document(std::string_view text);

}  // namespace sluice
