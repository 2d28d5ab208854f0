// What the subcommands share: configuration, files, and words and tables for people.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/model/configuration.h"
#include "engine/model/progress.h"

namespace sluice::tools {

// $SLUICE_CONFIG, else /etc/sluice/sluice.toml: the default of --config.
std::string default_configuration_path();

// A whole file of at most `bytes_max` octets. NotFound, or DataLoss with the reason.
StatusOr<std::string> read_file(const std::string& path, uint64_t bytes_max = 64UL << 20);

struct LoadedConfiguration {
  Configuration configuration;
  std::vector<std::string> warnings;
};
// Reads and checks sluice.toml and its shaping files.
StatusOr<LoadedConfiguration> load_configuration(const std::string& path);
// The machine's, "localhost" when it has none.
std::string host_name();

// Where a running sluice and its spool are: from the configuration, or named one by one.
struct PlaceOptions {
  std::string config;  // empty: not given
  std::string spool;
  std::string socket;
  void add_to(CLI::App& command, bool with_socket);
};
struct Places {
  std::string spool;
  std::string socket;
};
// Reads the configuration only where it is needed; without a file and with an override, what is
// not named has its default.
StatusOr<Places> find_places(const PlaceOptions& options);

WallTime wall_now();

// Writes to standard output and says when that fails.
Status print(std::string_view text);
bool is_terminal(std::FILE* stream);
// `text` in a colour (ANSI number, 31 red, 32 green, 33 yellow) when `stream` is a terminal and
// $NO_COLOR is not set.
std::string coloured(std::FILE* stream, int colour, std::string_view text);

// "0.4s", "59s", "2m05s", "3h12m", "2d04h".
std::string duration_words(Duration duration);
// "990 delivered, 10 bounced": the states that are not zero, "nothing yet" when all are.
std::string state_words(const Counts& counts);
// "12.3%"; "0.0%" of nothing.
std::string percent(int64_t part, int64_t whole);

// Lines whose columns stand under each other; untrusted text must be escaped before.
class Table {
 public:
  // A title that begins with ">" makes a column of numbers, aligned to the right.
  explicit Table(std::vector<std::string> titles);
  void add(std::vector<std::string> cells);
  std::string text() const;

 private:
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> lines_;
};

}  // namespace sluice::tools
