// The files of a benchmark: job, list, configuration, shaping.
//
// PURPOSE  A made-up personalised job of five fields (HTML and text), whose finished messages have
// about the size asked for, and a configuration that sends it to a sink on loopback.
// OWNERSHIP  BenchDirectory removes its directory, with all in it, when it ends. THREAD  Any.
// ERRORS  CannotCreate or DataLoss with the path and the reason.
// LIMITS  The directory's path has at most 80 octets: sockets lie in it.
// BUGS  The size is met within about a hundredth; the report shows what came out.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "engine/base/status.h"
#include "tools/cmd/bench_options.h"

namespace sluice::tools {

inline constexpr const char* kBenchZone = "bench.example";

class BenchDirectory {
 public:
  // Makes "PARENT/sluice-bench-XXXXXX".
  static StatusOr<BenchDirectory> make(const std::string& parent);
  BenchDirectory(BenchDirectory&& other) noexcept;
  BenchDirectory(const BenchDirectory&) = delete;
  BenchDirectory& operator=(const BenchDirectory&) = delete;
  BenchDirectory& operator=(BenchDirectory&&) = delete;
  ~BenchDirectory();

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  // Removes what is in it.
  Status clear();

 private:
  explicit BenchDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// Where the sink listens.
struct BenchPlaces {
  uint16_t smtp_port = 0;
  std::string dns;  // "127.0.0.1:4711"
};

// "job" in `directory`, with `messages` rows.
Status write_job(const BenchDirectory& directory, const BenchOptions& options, uint64_t messages);
// "sluice.toml" and "shaping.toml"; the spool is "spool", the record "record".
Status write_configuration(const BenchDirectory& directory, const BenchOptions& options,
                           BenchMode mode, const BenchPlaces& places);

}  // namespace sluice::tools
