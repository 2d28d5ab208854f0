// `sluice init`: writes a commented sluice.toml with every key at its default.
//
// Without --force an existing file stays as it is (exit 73); with it, the new file takes the old
// one's name once it is written.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "engine/config/default_file.h"
#include "tools/cmd/command.h"

namespace sluice::tools {
namespace {

struct InitOptions {
  std::string path = "sluice.toml";
  bool force = false;
};

std::string reason() { return std::strerror(errno); }

bool write_all(int descriptor, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::write(descriptor, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

// Makes a new file with `text`; on failure nothing is left of it.
Status make_file(const std::string& path, const std::string& text) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor < 0 && errno == EEXIST) {
    return cannot_create(path +
                         " exists already; name another file with --path, or overwrite it with "
                         "--force");
  }
  if (descriptor < 0) {
    return cannot_create(path + ": cannot be created: " + reason() +
                         "; make its folder, or name another place with --path");
  }
  const bool written = write_all(descriptor, text) && ::fsync(descriptor) == 0;
  const std::string why = written ? "" : reason();
  ::close(descriptor);
  if (written) return absl::OkStatus();
  ::unlink(path.c_str());
  return io_error(path + ": cannot be written: " + why);
}

// Puts a new file in the place of the old one, if there is one.
Status replace_file(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new." + std::to_string(::getpid());
  RETURN_IF_ERROR(make_file(temporary, text));
  if (::rename(temporary.c_str(), path.c_str()) == 0) return absl::OkStatus();
  const std::string why = reason();
  ::unlink(temporary.c_str());
  return cannot_create(path + ": cannot be replaced: " + why);
}

int run_init(const InitOptions& options) {
  const std::string text = configuration_text();
  if (options.path == "-") {
    if (!write_all(STDOUT_FILENO, text)) {
      return report_error(io_error("standard output cannot be written: " + reason()));
    }
    return kDone;
  }
  const Status status =
      options.force ? replace_file(options.path, text) : make_file(options.path, text);
  if (!status.ok()) return report_error(status);
  std::fprintf(stderr, "sluice: wrote %s; start with: sluice run --config %s\n",
               options.path.c_str(), options.path.c_str());
  return kDone;
}

}  // namespace

void add_init(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<InitOptions>();
  CLI::App* command = app.add_subcommand("init", "Write a commented sluice.toml");
  command->add_option("--path", options->path, "The file to write; - for standard output")
      ->capture_default_str();
  command->add_flag("--force", options->force, "Overwrite the file when it exists");
  command->footer("Example: sluice init --path /etc/sluice/sluice.toml");
  command->callback([options, &exit_code] { exit_code = run_init(*options); });
}

}  // namespace sluice::tools
