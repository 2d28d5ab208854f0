// Recipients by domain or source: the rows of active jobs, or of one job, counted by their states.
//
// Read from the spool like a report; what is in flight is asked of the running sender. Memory: the
// outcomes of one job, and a line a domain. Thread: the main one.
#pragma once

#include <string>

#include "engine/base/status.h"
#include "tools/cmd/common.h"

namespace sluice::tools {

struct StatusByOptions {
  std::string by;   // "domain" or "source"
  std::string job;  // id or name; empty: all active ones
  bool json = false;
};

// The table names the largest; JSON has a line for each.
Status show_status_by(const Places& places, const StatusByOptions& options);

}  // namespace sluice::tools
