// What every subcommand of `sluice` offers to main.cc, and the words they share.
//
// A subcommand is one file cmd/<name>.cc with one function add_<name>(app): it declares options and
// help (with an example) on a CLI11 subcommand and sets a callback that stores its exit code.
// Messages go to standard error, data to standard output; colour and progress bars only on a
// terminal.
#pragma once

#include <CLI/CLI.hpp>

#include "engine/base/status.h"

namespace sluice::tools {

// Exit codes: 0 done; 1 done, but not all recipients delivered (or a check failed); else
// sysexits.h.
enum ExitCode : int {
  kDone = 0,
  kNotAllDelivered = 1,
  kUsage = 64,
  kBadData = 65,
  kMissingInput = 66,
  kUnavailable = 69,
  kInternal = 70,
  kCannotCreate = 73,
  kInputOutput = 74,
  kTryAgain = 75,
  kBadConfiguration = 78,
};
int exit_code_of(const Status& status);

// Prints "sluice: <message>" to standard error; returns the exit code that fits.
int report_error(const Status& status);

void add_dkim_key(CLI::App& app, int& exit_code);
void add_init(CLI::App& app, int& exit_code);
void add_log(CLI::App& app, int& exit_code);
void add_token(CLI::App& app, int& exit_code);
void add_operate(CLI::App& app, int& exit_code);  // pause, resume, cancel
void add_record_cat(CLI::App& app, int& exit_code);
void add_report(CLI::App& app, int& exit_code);
void add_resolve(CLI::App& app, int& exit_code);
void add_run(CLI::App& app, int& exit_code);
void add_show(CLI::App& app, int& exit_code);
void add_sink(CLI::App& app, int& exit_code);
void add_spool_cat(CLI::App& app, int& exit_code);
void add_status(CLI::App& app, int& exit_code);
void add_submit(CLI::App& app, int& exit_code);

}  // namespace sluice::tools
