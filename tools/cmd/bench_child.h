// A program that the benchmark runs: this one under another subcommand, pinned to a core.
//
// PURPOSE  Starts /proc/self/exe, waits for what it says, reads what it costs, ends it.
// OWNERSHIP  A BenchChild ends its process, by SIGKILL if need be, before it goes; should the
// benchmark itself die, the kernel ends it. THREAD  The one that started it, for the kernel ends
// the child with that thread. ERRORS  Unavailable with what the child said last.
// LIMITS  16 MiB of output; what comes beyond is dropped.
// BUGS  none known.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"

namespace sluice::tools {

// What /proc tells of a process that runs.
struct BenchUsage {
  Duration cpu{0};
  uint64_t write_bytes = 0;  // octets that went to the page cache of a file system on a disk
  uint64_t memory_peak = 0;  // octets, resident
};

class BenchChild {
 public:
  struct Plan {
    std::vector<std::string> arguments;                          // behind the program's name
    std::optional<uint32_t> core;                                // nothing: where the kernel likes
    std::vector<std::pair<std::string, std::string>> variables;  // set in its environment
    std::string errors;  // file for its standard error; empty: ours
  };
  static StatusOr<BenchChild> start(const Plan& plan);
  BenchChild(BenchChild&& other) noexcept;
  BenchChild(const BenchChild&) = delete;
  BenchChild& operator=(const BenchChild&) = delete;
  BenchChild& operator=(BenchChild&&) = delete;
  ~BenchChild();

  // Readable when it has ended.
  int ended_descriptor() const { return ended_; }
  // The next line of its standard output; empty when it has ended or nothing came in `patience`.
  std::string read_line(Duration patience);
  StatusOr<BenchUsage> usage() const;
  // Sends SIGTERM and reads its output to the end, which is returned.
  std::string stop();
  // CPU time, user and system, of its whole life. REQUIRES: stopped.
  Duration user_time() const { return user_; }
  Duration system_time() const { return system_; }
  // Octets written in its whole life, as BenchUsage counts them. REQUIRES: stopped.
  uint64_t written_in_all() const { return written_; }
  // As wait(2) gives it, 0 when all was well. REQUIRES: stopped.
  int exit_status() const { return status_; }

 private:
  BenchChild(int process, int ended, int output)
      : process_(process), ended_(ended), output_(output) {}
  bool read_some(Duration patience);
  uint64_t written() const;
  void reap();

  int process_ = -1;
  int ended_ = -1;   // a pidfd
  int output_ = -1;  // the pipe that is its standard output
  std::string text_;
  Duration user_{0};
  Duration system_{0};
  uint64_t written_ = 0;
  int status_ = 0;
};

// How long a core has been busy since the start of the machine, interrupts included; to 10 ms.
Duration busy_time_of_core(uint32_t core);

}  // namespace sluice::tools
