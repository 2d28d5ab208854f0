// `sluice token`: whom an address or a link names.
#include "engine/compose/token.h"

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/strings.h"
#include "engine/spool/job_directory.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"
#include "tools/cmd/row_message.h"
#include "tools/cmd/spool_jobs.h"
#include "tools/cmd/token_keys.h"

namespace sluice::tools {
namespace {

struct TokenOptions {
  std::string text;
  std::string config;
  bool json = false;
};

struct Named {
  TokenKind kind = TokenKind::kBounce;
  FoundJob job;
  uint64_t row = 0;
  std::string recipient;  // empty: its row cannot be read
};

// The token in "<bounce+TOKEN@example.com>", or the text itself.
std::string_view token_in(std::string_view text) {
  text = trim(text);
  if (text.starts_with('<') && text.ends_with('>')) text = text.substr(1, text.size() - 2);
  text = text.substr(0, text.rfind('@'));
  return text.size() > kTokenChars ? text.substr(text.size() - kTokenChars) : text;
}

StatusOr<Named> look_up(const Configuration& config, const std::string& text) {
  const std::string_view token = token_in(text);
  const std::optional<TokenContents> contents = read_token(token);
  if (!contents) {
    return invalid("\"" + escaped(text, 120) +
                   "\" holds no token: 32 letters and digits 2 to 7, alone or before the \"@\" of "
                   "an address");
  }
  ASSIGN_OR_RETURN(const TokenKeysPtr keys, load_token_keys(config, MissingKeys::kRefuse));
  const SpoolPaths spool(config.spool.path);
  ASSIGN_OR_RETURN(const std::vector<FoundJob> jobs, list_jobs(spool));
  bool known = false;
  for (const FoundJob& job : jobs) {
    if (token_job(job.id) != contents->job) continue;
    known = true;
    const TokenMaker maker(keys, job.id);
    for (const TokenKind kind : {TokenKind::kBounce, TokenKind::kUnsubscribe}) {
      if (!maker.is_genuine(kind, token)) continue;
      Named named{kind, job, contents->row, ""};
      const StatusOr<OpenDirectory> directory = open_job(spool, job);
      if (!directory.ok()) return named;
      const auto place = find_segment_row(*directory, contents->row);
      if (place.ok() && *place) named.recipient = (*place)->contents.address();
      return named;
    }
  }
  if (known) return invalid("the token is not genuine: it was made with another key, or by hand");
  return invalid("no job of " + spool.root +
                 " made that token: the job has left done/ ([spool] keep_done), or another spool "
                 "has it");
}

Status show_token(const TokenOptions& options) {
  ASSIGN_OR_RETURN(
      const LoadedConfiguration loaded,
      load_configuration(options.config.empty() ? default_configuration_path() : options.config));
  ASSIGN_OR_RETURN(const Named named, look_up(loaded.configuration, options.text));
  const char* const kind = named.kind == TokenKind::kBounce ? "bounce" : "unsubscribe";
  if (options.json) {
    nlohmann::ordered_json json;
    json["kind"] = kind;
    json["job"] = named.job.id;
    json["row"] = named.row;
    json["recipient"] = named.recipient.empty() ? nlohmann::ordered_json()
                                                : nlohmann::ordered_json(named.recipient);
    return print(json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
                 "\n");
  }
  return print(
      std::string(kind) + " of job " + named.job.id + ", row " + std::to_string(named.row) + ": " +
      (named.recipient.empty() ? "(its row cannot be read)" : escaped(named.recipient, 320)) +
      "\n");
}

}  // namespace

void add_token(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<TokenOptions>();
  CLI::App* command = app.add_subcommand(
      "token", "Say whom a bounce's address (VERP) or an unsubscribe token names");
  command->add_option("token", options->text, "A token, or an address with one before its \"@\"")
      ->required();
  command->add_option("--config", options->config,
                      "The configuration (default: $SLUICE_CONFIG, else /etc/sluice/sluice.toml)");
  command->add_flag("--json", options->json, "Print kind, job, row and recipient as JSON");
  command->footer(
      "Only tokens that this spool's keys made are believed; others end with 65.\n"
      "Example: sluice token bounce+ms4gpjdhsvu7qe3lq5gyhhsfbcr3gaxd@example.com");
  command->callback([options, &exit_code] {
    const Status status = show_token(*options);
    exit_code = status.ok() ? int{kDone} : report_error(status);
  });
}

}  // namespace sluice::tools
