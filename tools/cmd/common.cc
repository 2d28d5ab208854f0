#include "tools/cmd/common.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "engine/base/strings.h"
#include "engine/config/configuration_file.h"

namespace sluice::tools {
namespace {

constexpr uint64_t kConfigurationBytesMax = 4UL << 20;

StatusOr<std::string> read_configuration_file(const std::string& path) {
  return read_file(path, kConfigurationBytesMax);
}

// Columns that a terminal shows: code points, near enough.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace

std::string default_configuration_path() {
  const char* named = std::getenv("SLUICE_CONFIG");
  return named != nullptr && named[0] != '\0' ? named : "/etc/sluice/sluice.toml";
}

StatusOr<std::string> read_file(const std::string& path, uint64_t bytes_max) {
  struct stat there {};
  if (::stat(path.c_str(), &there) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return missing(path + " does not exist");
    return io_error("cannot read " + path + ": " + std::strerror(errno));
  }
  if (S_ISDIR(there.st_mode)) return invalid(path + " is a directory");
  if (static_cast<uint64_t>(there.st_size) > bytes_max) {
    return invalid(path + " has " + grouped(static_cast<uint64_t>(there.st_size)) +
                   " octets, more than " + grouped(bytes_max));
  }
  std::ifstream in(path, std::ios::binary);
  std::string text(static_cast<size_t>(there.st_size), '\0');
  if (in) in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in && !in.eof()) return io_error("cannot read " + path + ": " + std::strerror(errno));
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

StatusOr<LoadedConfiguration> load_configuration(const std::string& path) {
  const StatusOr<std::string> text = read_configuration_file(path);
  if (text.status().code() == absl::StatusCode::kNotFound) {
    return missing(path + " does not exist; make one with `sluice init --path " + path +
                   "`, or name yours with --config or $SLUICE_CONFIG");
  }
  if (!text.ok()) return text.status();
  LoadedConfiguration loaded;
  ASSIGN_OR_RETURN(loaded.configuration,
                   parse_configuration(*text, path, &read_configuration_file, &loaded.warnings));
  return loaded;
}

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return "localhost";
  return name;
}

void PlaceOptions::add_to(CLI::App& command, bool with_socket) {
  command.add_option("--config", config,
                     "The configuration (default: $SLUICE_CONFIG, else /etc/sluice/sluice.toml)");
  command.add_option("--spool", spool, "The spool directory, instead of the configuration's");
  if (with_socket) {
    command.add_option("--socket", socket, "The admin socket, instead of the configuration's");
  }
}

StatusOr<Places> find_places(const PlaceOptions& options) {
  Places places{options.spool, options.socket};
  if (!places.spool.empty() && !places.socket.empty()) return places;
  Configuration config;
  const bool overridden = !places.spool.empty() || !places.socket.empty();
  const std::string path = options.config.empty() ? default_configuration_path() : options.config;
  StatusOr<LoadedConfiguration> loaded = load_configuration(path);
  if (loaded.ok()) {
    config = std::move(loaded->configuration);
  } else if (!overridden || !options.config.empty() ||
             loaded.status().code() != absl::StatusCode::kNotFound) {
    return loaded.status();
  }
  if (places.spool.empty()) places.spool = config.spool.path;
  if (places.socket.empty()) places.socket = config.admin.socket;
  return places;
}

WallTime wall_now() {
  return WallTime(
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch()));
}

Status print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
    return {};
  }
  return io_error(std::string("standard output cannot be written: ") + std::strerror(errno));
}

bool is_terminal(std::FILE* stream) { return ::isatty(::fileno(stream)) == 1; }

std::string coloured(std::FILE* stream, int colour, std::string_view text) {
  const char* refused = std::getenv("NO_COLOR");
  if (!is_terminal(stream) || (refused != nullptr && refused[0] != '\0')) {
    return std::string(text);
  }
  return "\x1b[" + std::to_string(colour) + "m" + std::string(text) + "\x1b[0m";
}

std::string duration_words(Duration duration) {
  char text[64];
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  if (seconds < 10) {
    std::snprintf(text, sizeof text, "%.1fs", std::max(to_seconds(duration), 0.0));
  } else if (seconds < 60) {
    std::snprintf(text, sizeof text, "%llds", static_cast<long long>(seconds));
  } else if (seconds < 3'600) {
    std::snprintf(text, sizeof text, "%lldm%02llds", static_cast<long long>(seconds / 60),
                  static_cast<long long>(seconds % 60));
  } else if (seconds < 86'400) {
    std::snprintf(text, sizeof text, "%lldh%02lldm", static_cast<long long>(seconds / 3'600),
                  static_cast<long long>(seconds / 60 % 60));
  } else {
    std::snprintf(text, sizeof text, "%lldd%02lldh", static_cast<long long>(seconds / 86'400),
                  static_cast<long long>(seconds / 3'600 % 24));
  }
  return text;
}

std::string state_words(const Counts& counts) {
  // Final states first: they are what people look for.
  std::string out;
  for (const bool final : {true, false}) {
    for (size_t i = 0; i < kStates; ++i) {
      if (is_final(static_cast<State>(i)) != final || counts.states[i] == 0) continue;
      if (!out.empty()) out += ", ";
      out += grouped(static_cast<uint64_t>(counts.states[i])) + " " + std::string(kStateNames[i]);
    }
  }
  return out.empty() ? "nothing yet" : out;
}

std::string percent(int64_t part, int64_t whole) {
  char text[32];
  const double share =
      whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0;
  std::snprintf(text, sizeof text, "%.1f%%", share);
  return text;
}

Table::Table(std::vector<std::string> titles) {
  for (std::string& title : titles) {
    const bool right = !title.empty() && title[0] == '>';
    right_.push_back(right);
    if (right) title.erase(0, 1);
  }
  lines_.push_back(std::move(titles));
}

void Table::add(std::vector<std::string> cells) {
  cells.resize(right_.size());
  lines_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<size_t> widths(right_.size());
  for (const auto& line : lines_) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width_of(line[i]));
  }
  std::string out;
  for (const auto& line : lines_) {
    std::string row;
    for (size_t i = 0; i < line.size(); ++i) {
      const std::string padding(widths[i] - width_of(line[i]), ' ');
      if (i > 0) row += "  ";
      row += right_[i] ? padding + line[i] : line[i] + padding;
    }
    row.erase(row.find_last_not_of(' ') + 1);
    out += row + "\n";
  }
  return out;
}

}  // namespace sluice::tools
