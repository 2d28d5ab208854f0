// `sluice bench`, as main.cc registers it; see command.h for what a subcommand is.
#pragma once

#include <CLI/CLI.hpp>

namespace sluice::tools {

void add_bench(CLI::App& app, int& exit_code);

}  // namespace sluice::tools
