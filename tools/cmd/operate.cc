// `sluice pause`, `resume` and `cancel`: what the operator says of a job or a site.
#include <cstdio>
#include <memory>
#include <string>

#include "engine/control/admin_client.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"
#include "tools/cmd/spool_jobs.h"

namespace sluice::tools {
namespace {

struct OperateOptions {
  PlaceOptions places;
  std::string job;
  std::string site;
  bool unread = false;
};

Status operate(const OperateOptions& options, const std::string& verb) {
  if (options.job.empty() == options.site.empty()) {
    return invalid("name a job, or a site with --site");
  }
  if (options.unread && options.job.empty()) return invalid("--unread goes with a job");
  ASSIGN_OR_RETURN(const Places places, find_places(options.places));
  if (!options.site.empty()) {
    const StatusOr<std::string> done =
        admin_post(places.socket, "/api/v1/sites/" + verb + "?site=" + query_value(options.site));
    return done.status();
  }
  // A job's name stands for its newest job.
  std::string id = options.job;
  if (!parse_job_id(id)) {
    ASSIGN_OR_RETURN(const FoundJob found, find_job(SpoolPaths(places.spool), id));
    id = found.id;
  }
  const StatusOr<std::string> done = admin_post(
      places.socket, "/api/v1/jobs/" + id + "/" + verb + (options.unread ? "?unread=1" : ""));
  if (done.ok()) std::printf("%s\n", id.c_str());
  return done.status();
}

CLI::App* add_verb(CLI::App& app, int& exit_code, const char* verb, const char* help,
                   const char* footer) {
  CLI::App* command = app.add_subcommand(verb, help);
  auto options = std::make_shared<OperateOptions>();
  options->places.add_to(*command, /*with_socket=*/true);
  command->add_option("job", options->job, "A job's id, or its name (the newest of that name)");
  command->footer(footer);
  command->callback([options, verb, &exit_code] {
    const Status status = operate(*options, verb);
    exit_code = status.ok() ? static_cast<int>(kDone) : report_error(status);
  });
  if (std::string(verb) == "resume") {
    command->add_flag(
        "--unread", options->unread,
        "Go on with a held job without the journal files that cannot be read: who got "
        "the mail by those alone gets it again");
  }
  if (std::string(verb) != "cancel") {
    command->add_option("--site", options->site, "A site, as `sluice status --by site` names it");
  }
  return command;
}

}  // namespace

void add_operate(CLI::App& app, int& exit_code) {
  add_verb(app, exit_code, "pause", "Send nothing of a job, or to a site, until it is resumed",
           "Survives a restart; what is in flight ends.\nExample: sluice pause july-news");
  add_verb(app, exit_code, "resume", "Go on with a paused job or site, or with a held job",
           "Example: sluice resume --site mx.example.com");
  add_verb(app, exit_code, "cancel", "Send no more of a job; what waits is cancelled for good",
           "Example: sluice cancel july-news");
}

}  // namespace sluice::tools
