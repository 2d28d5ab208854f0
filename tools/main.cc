// sluice: one program, one file a subcommand.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "tools/cmd/command.h"

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
    sluice::tools::add_operate(app, exit_code);
    sluice::tools::add_resolve(app, exit_code);
    sluice::tools::add_spool_cat(app, exit_code);
    sluice::tools::add_record_cat(app, exit_code);
    sluice::tools::add_init(app, exit_code);
    sluice::tools::add_sink(app, exit_code);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    app.exit(error);
    return asked ? sluice::tools::kDone : sluice::tools::kUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sluice: %s\n", error.what());
    return sluice::tools::kInternal;
  }
  return exit_code;
}
