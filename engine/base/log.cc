#include "engine/base/log.h"

#include <atomic>
#include <cstdio>

namespace sluice {
namespace {

void to_standard_error(LogLevel, const std::string& line) {
  std::fprintf(stderr, "%s\n", line.c_str());
}

std::atomic<LogSink> g_sink{&to_standard_error};
std::atomic<LogLevel> g_least{LogLevel::kWarning};

}  // namespace

void set_log_sink(LogSink sink, LogLevel least) {
  g_sink.store(sink != nullptr ? sink : &to_standard_error, std::memory_order_release);
  g_least.store(least, std::memory_order_release);
}

bool log_enabled(LogLevel level) { return level >= g_least.load(std::memory_order_relaxed); }

void log(LogLevel level, const std::string& line) {
  if (log_enabled(level)) g_sink.load(std::memory_order_acquire)(level, line);
}

}  // namespace sluice
