// A line for each thing that happens at the receiver, for whoever measures when.
//
// PURPOSE. TIME KIND CONNECTION ADDRESS [WHO [TLS]], with one space between. TIME: nanoseconds of
//   CLOCK_MONOTONIC, which other programs of this machine can compare. KIND: "open" (WHO is the
//   client's address), "refused" (too many), "message" (accepted; WHO is its first recipient, TLS
//   the protocol that it came in; none: in clear), "tls" (a session opened; WHO is its protocol,
//   TLS its cipher, "full" or "resumed", and the server name asked for or "-"), "tls-failed" (a
//   handshake; WHO says why, in words) and "close": from then on it is none of those at a time.
//   CONNECTION: a number that no other one of this run has. ADDRESS: the sink's.
// OWNERSHIP. LogFile is the sink's; an EventLog is a worker's and the file outlives it.
// THREAD. LogFile: any. EventLog: the worker's.
// ERRORS. What cannot be written is counted, and the sink goes on.
// LIMITS. Lines of one worker are in order of time; those of several workers are not: sort them.
// BUGS. A message is noted when its last octet is looked at: up to a turn of the worker after it
//   came.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace sluice::sink {

class LogFile {
 public:
  LogFile() = default;
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  ~LogFile();

  // Empties or makes the file. Before the first worker starts.
  Status open(const std::string& path);
  bool is_open() const { return file_ >= 0; }
  void write(std::string_view lines);
  uint64_t errors() const { return errors_.load(); }
  uint64_t next_connection() { return connections_.fetch_add(1); }

 private:
  int file_ = -1;
  std::atomic<uint64_t> errors_{0};
  std::atomic<uint64_t> connections_{0};
};

class EventLog {
 public:
  explicit EventLog(LogFile& file) : file_(file) {}

  bool is_on() const { return file_.is_open(); }
  // The number of a connection that begins.
  uint64_t next_connection() { return is_on() ? file_.next_connection() : 0; }
  void add(std::string_view kind, uint64_t connection, std::string_view address,
           std::string_view who = {}, std::string_view tls = {});
  // Hands the lines so far to the file: once a turn, so that it can be followed.
  void flush();

 private:
  LogFile& file_;
  std::string lines_;
};

}  // namespace sluice::sink
