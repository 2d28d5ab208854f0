#include "tools/cmd/command.h"

#include <cstdio>
#include <string>

namespace sluice::tools {

int exit_code_of(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kDone;
    case absl::StatusCode::kInvalidArgument:
      return kBadData;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
      return kBadConfiguration;
    case absl::StatusCode::kNotFound:
      return kMissingInput;
    case absl::StatusCode::kUnavailable:
      return kUnavailable;
    case absl::StatusCode::kDataLoss:
      return kInputOutput;
    case absl::StatusCode::kPermissionDenied:
      return kCannotCreate;
    case absl::StatusCode::kResourceExhausted:
      return kTryAgain;
    default:
      return kInternal;
  }
}

int report_error(const Status& status) {
  // One write, so that messages of several processes do not mix within a line.
  const std::string line = "sluice: " + message_of(status) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
  return exit_code_of(status);
}

}  // namespace sluice::tools
