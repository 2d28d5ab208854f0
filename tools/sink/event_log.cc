#include "tools/sink/event_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/base/strings.h"

namespace sluice::sink {

LogFile::~LogFile() {
  if (file_ >= 0) ::close(file_);
}

Status LogFile::open(const std::string& path) {
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (file_ < 0) return cannot_create("cannot write " + path + ": " + std::strerror(errno));
  return absl::OkStatus();
}

void LogFile::write(std::string_view lines) {
  // One call, so that lines of several workers do not mix.
  if (::write(file_, lines.data(), lines.size()) != static_cast<ssize_t>(lines.size())) {
    errors_.fetch_add(1);
  }
}

void EventLog::add(std::string_view kind, uint64_t connection, std::string_view address,
                   std::string_view who, std::string_view tls) {
  if (!is_on()) return;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  lines_ += std::to_string(std::chrono::nanoseconds(now).count());
  lines_ += ' ';
  lines_ += kind;
  lines_ += ' ';
  lines_ += std::to_string(connection);
  lines_ += ' ';
  lines_ += address;
  if (!who.empty()) {
    lines_ += ' ';
    lines_ += escaped(who);
  }
  if (!tls.empty()) {
    lines_ += ' ';
    lines_ += tls;
  }
  lines_ += '\n';
}

void EventLog::flush() {
  if (lines_.empty()) return;
  file_.write(lines_);
  lines_.clear();
}

}  // namespace sluice::sink
