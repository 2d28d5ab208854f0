// [["x".automation]] of shaping files: text -> Automation, every part of it checked.
//
// Pure; any thread. What is wrong goes to the section's Problems.
#pragma once

#include <vector>

#include "engine/config/section.h"
#include "engine/model/automation.h"

namespace sluice::config {

// All that `table` has, in the file's order.
std::vector<Automation> read_automation(Section& table);

}  // namespace sluice::config
