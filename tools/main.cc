// sluice: one program, one file a subcommand.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/strings.h"
#include "tools/cmd/bench.h"
#include "tools/cmd/command.h"
#include "tools/cmd/tls_probe.h"

namespace {

// Names a mistyped command, with the nearest one; false when the first argument is a command.
bool unknown_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return false;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  if (std::find(names.begin(), names.end(), argv[1]) != names.end()) return false;
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string near(sluice::nearest(argv[1], views));
  std::fprintf(stderr, "sluice: there is no command \"%s\"%s sluice --help lists them\n", argv[1],
               near.empty() ? ";" : ("; did you mean \"" + near + "\"?").c_str());
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app(
      "Sluice sends bulk mail straight to the recipients' mail exchangers.\n"
      "Start with: sluice init; sluice run --config sluice.toml; sluice submit my-job/");
  app.name("sluice");
  app.require_subcommand(1);
  app.set_version_flag("--version", "sluice " SLUICE_VERSION);
  int exit_code = sluice::tools::kDone;
  try {
    sluice::tools::add_run(app, exit_code);
    sluice::tools::add_submit(app, exit_code);
    sluice::tools::add_show(app, exit_code);
    sluice::tools::add_status(app, exit_code);
    sluice::tools::add_report(app, exit_code);
    sluice::tools::add_log(app, exit_code);
    sluice::tools::add_token(app, exit_code);
    sluice::tools::add_operate(app, exit_code);
    sluice::tools::add_resolve(app, exit_code);
    sluice::tools::add_tls_probe(app, exit_code);
    sluice::tools::add_spool_cat(app, exit_code);
    sluice::tools::add_record_cat(app, exit_code);
    sluice::tools::add_init(app, exit_code);
    sluice::tools::add_dkim_key(app, exit_code);
    sluice::tools::add_sink(app, exit_code);
    sluice::tools::add_bench(app, exit_code);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (unknown_command(app, argc, argv)) return sluice::tools::kUsage;
    const bool asked = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    app.exit(error);
    return asked ? sluice::tools::kDone : sluice::tools::kUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sluice: %s\n", error.what());
    return sluice::tools::kInternal;
  }
  return exit_code;
}
