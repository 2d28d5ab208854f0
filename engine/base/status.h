// Shorthand for making and passing on absl::Status with std strings.
//
// Debian's abseil has a string_view of its own, so its factories do not take std::string_view;
// these do. The message says what is wrong, where (file:line:column where there is one) and how to
// mend it. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

using absl::Status;
using absl::StatusOr;

// A user's mistake in data, a job or a template (sysexits 65).
inline Status invalid(std::string message) { return {absl::StatusCode::kInvalidArgument, message}; }
// Bad configuration of Sluice or the machine (sysexits 78).
inline Status misconfigured(std::string message) {
  return {absl::StatusCode::kFailedPrecondition, message};
}
// A file or thing that should be there is not (sysexits 66).
inline Status missing(std::string message) { return {absl::StatusCode::kNotFound, message}; }
// A service or facility that cannot be reached (sysexits 69).
inline Status unavailable(std::string message) { return {absl::StatusCode::kUnavailable, message}; }
// Reading or writing failed (sysexits 74).
inline Status io_error(std::string message) { return {absl::StatusCode::kDataLoss, message}; }
// A file cannot be made (sysexits 73).
inline Status cannot_create(std::string message) {
  return {absl::StatusCode::kPermissionDenied, message};
}
// A limit is reached; later it may work (sysexits 75).
inline Status exhausted(std::string message) {
  return {absl::StatusCode::kResourceExhausted, message};
}
// Promised but not built yet: refused by name, never ignored (sysexits 78).
inline Status not_built(std::string message) { return {absl::StatusCode::kUnimplemented, message}; }

inline std::string message_of(const Status& status) {
  return {status.message().data(), status.message().size()};
}
// The same status with `prefix` and ": " before its message; OK stays OK.
Status annotate(const Status& status, std::string_view prefix);

}  // namespace sluice

#define SLUICE_CONCAT_INNER(a, b) a##b
#define SLUICE_CONCAT(a, b) SLUICE_CONCAT_INNER(a, b)

// Returns from the enclosing function when `expression` is not OK. Not for coroutines.
#define RETURN_IF_ERROR(expression)                                 \
  do {                                                              \
    if (auto status_ = (expression); !status_.ok()) return status_; \
  } while (false)

// ASSIGN_OR_RETURN(auto x, f()): x takes the value, or the function returns the error.
#define ASSIGN_OR_RETURN(target, expression)                                                    \
  auto SLUICE_CONCAT(result_, __LINE__) = (expression);                                         \
  if (!SLUICE_CONCAT(result_, __LINE__).ok()) return SLUICE_CONCAT(result_, __LINE__).status(); \
  target = std::move(*SLUICE_CONCAT(result_, __LINE__))
