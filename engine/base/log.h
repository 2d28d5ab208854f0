// Messages for the operator. The engine says them here; the program decides where they go
// (tools/ sets an spdlog sink). No line holds a recipient's merge values, tokens or keys.
//
// log() may be called from any thread, also from a shard's turn: the sink must not block on
// anything but memory (tools/ uses spdlog's bounded asynchronous queue, which drops the oldest
// lines when full and counts them).
#pragma once

#include <string>

namespace sluice {

enum class LogLevel : int { kDebug, kInfo, kWarning, kError };

using LogSink = void (*)(LogLevel level, const std::string& line);

// Before the first shard starts, and again to change the level; any thread. Without a sink,
// warnings and errors go to standard error and the rest is dropped.
void set_log_sink(LogSink sink, LogLevel least);

bool log_enabled(LogLevel level);
// Control characters of `line` come to the sink as \xHH.
void log(LogLevel level, const std::string& line);

}  // namespace sluice
