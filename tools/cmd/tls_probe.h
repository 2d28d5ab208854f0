// `sluice tls-probe`: what a session to a domain's exchangers would do, without mail.
#pragma once

#include <CLI/CLI.hpp>

namespace sluice::tools {

void add_tls_probe(CLI::App& app, int& exit_code);

}  // namespace sluice::tools
