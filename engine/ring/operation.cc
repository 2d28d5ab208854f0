#include "engine/ring/operation.h"

#include <cerrno>

namespace sluice {

std::string_view name_of(IoError error) {
  switch (error) {
    case IoError::kNone:
      return "no error";
    case IoError::kCancelled:
      return "cancelled";
    case IoError::kRefused:
      return "connection refused";
    case IoError::kUnreachable:
      return "network unreachable";
    case IoError::kTimedOut:
      return "connection timed out";
    case IoError::kReset:
      return "connection reset";
    case IoError::kAddressInUse:
      return "address in use";
    case IoError::kAddressUnusable:
      return "address cannot be used here";
    case IoError::kNoDescriptors:
      return "too many open files";
    case IoError::kNoMemory:
      return "out of memory";
    case IoError::kNotFound:
      return "no such file";
    case IoError::kExists:
      return "file exists";
    case IoError::kDenied:
      return "permission denied";
    case IoError::kReadOnly:
      return "read-only file system";
    case IoError::kNoSpace:
      return "no space left on device";
    case IoError::kFailed:
      return "input/output error";
  }
  return "unknown error";
}

IoError io_error_of(int raw_errno) {
  switch (raw_errno) {
    case 0:
      return IoError::kNone;
    case ECANCELED:
      return IoError::kCancelled;
    case ECONNREFUSED:
      return IoError::kRefused;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
      return IoError::kUnreachable;
    case ETIMEDOUT:
      return IoError::kTimedOut;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
      return IoError::kReset;
    case EADDRINUSE:
      return IoError::kAddressInUse;
    case EADDRNOTAVAIL:
      return IoError::kAddressUnusable;
    case EMFILE:
    case ENFILE:
      return IoError::kNoDescriptors;
    case ENOMEM:
    case ENOBUFS:
      return IoError::kNoMemory;
    case ENOENT:
      return IoError::kNotFound;
    case EEXIST:
    case ENOTEMPTY:
      return IoError::kExists;
    case EACCES:
    case EPERM:
      return IoError::kDenied;
    case EROFS:
      return IoError::kReadOnly;
    case ENOSPC:
    case EDQUOT:
      return IoError::kNoSpace;
    default:
      return IoError::kFailed;
  }
}

}  // namespace sluice
