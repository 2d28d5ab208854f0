#include "engine/base/log.h"

#include <algorithm>
#include <atomic>
#include <cstdio>

namespace sluice {
namespace {

void to_standard_error(LogLevel, const std::string& line) {
  std::fprintf(stderr, "%s\n", line.c_str());
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

// What a receiver or a name server said may stand in it: it stays one line, and moves no cursor.
std::string without_controls(const std::string& line) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : line) {
    if (!is_control(c)) {
      out += c;
      continue;
    }
    const auto octet = static_cast<unsigned char>(c);
    out += "\\x";
    out += kHex[octet >> 4];
    out += kHex[octet & 15];
  }
  return out;
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
  if (!log_enabled(level)) return;
  const LogSink sink = g_sink.load(std::memory_order_acquire);
  if (std::any_of(line.begin(), line.end(), is_control)) {
    sink(level, without_controls(line));
  } else {
    sink(level, line);
  }
}

}  // namespace sluice
