#include "engine/shard/job_loader.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/digest.h"
#include "engine/base/strings.h"
#include "engine/config/job_file.h"
#include "engine/shard/file_tasks.h"
#include "engine/shard/list_source.h"
#include "engine/spool/job_directory.h"

namespace sluice {
namespace {

constexpr uint64_t kJobFileBytesMax = 1UL << 20;
constexpr uint64_t kTemplateBytesMax = 16UL << 20;

// A file that job.toml names; no name, no text.
Task<StatusOr<std::string>> read_part_of_job(FileTasks& files, std::string directory,
                                             std::string name, const char* key) {
  if (name.empty()) co_return std::string();
  StatusOr<std::string> text = co_await files.read_whole(directory + "/" + name, kTemplateBytesMax);
  if (!text.ok()) {
    co_return annotate(text.status(), std::string("job.toml: ") + key + " = \"" + name + "\"");
  }
  co_return text;
}

Status find_pool(const Configuration& config, Job& job) {
  const std::string& wanted = job.spec.send.pool;
  const auto pool = std::find_if(config.pools.begin(), config.pools.end(),
                                 [&](const Pool& p) { return p.name == wanted; });
  if (pool == config.pools.end()) {
    std::vector<std::string_view> names;
    for (const Pool& p : config.pools) names.push_back(p.name);
    const std::string_view near = nearest(wanted, names);
    return invalid("job.toml: send.pool = \"" + wanted + "\" is no pool of " + config.file +
                   (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"));
  }
  uint64_t end = 0;
  for (const Pool::Member& member : pool->members) {
    const auto source = std::find_if(config.sources.begin(), config.sources.end(),
                                     [&](const Source& s) { return s.name == member.source; });
    end += member.weight;
    job.members.push_back({static_cast<uint32_t>(source - config.sources.begin()), end});
  }
  return {};
}

Status find_address_column(Job& job) {
  const auto column = std::find(job.columns.begin(), job.columns.end(), job.spec.list.address);
  if (column == job.columns.end()) {
    std::vector<std::string_view> names(job.columns.begin(), job.columns.end());
    const std::string_view near = nearest(job.spec.list.address, names);
    return invalid(job.spec.list.file + ":1: no column \"" + job.spec.list.address +
                   "\"; its columns are " + join(job.columns, ", ") +
                   (near.empty() ? "; name the one with the addresses in job.toml, list.address"
                                 : "; did you mean list.address = \"" + std::string(near) +
                                       "\" in job.toml?"));
  }
  job.address_column = static_cast<uint32_t>(column - job.columns.begin());
  return {};
}

// What an object of the kernel's and the tasks need while a job is loaded.
struct Workbench {
  explicit Workbench(Loop& loop) : files(loop) {}
  FileTasks files;
  std::unique_ptr<ListSource> list;
};

Task<Status> load_into(Loop& loop, const Configuration& config, const Limits& limits, Job& job,
                       Workbench& bench) {
  const JobPaths paths(job.directory);
  const StatusOr<std::string> toml =
      co_await bench.files.read_whole(paths.job_toml, kJobFileBytesMax);
  if (!toml.ok()) co_return toml.status();
  StatusOr<JobSpec> spec = parse_job(*toml, "job.toml");
  if (!spec.ok()) co_return spec.status();
  job.spec = std::move(*spec);

  TemplateInput input;
  StatusOr<std::string> part =
      co_await read_part_of_job(bench.files, job.directory, job.spec.message.text, "message.text");
  if (!part.ok()) co_return part.status();
  input.text = std::move(*part);
  part =
      co_await read_part_of_job(bench.files, job.directory, job.spec.message.html, "message.html");
  if (!part.ok()) co_return part.status();
  input.html = std::move(*part);
  part = co_await read_part_of_job(bench.files, job.directory, job.spec.message.eml, "message.eml");
  if (!part.ok()) co_return part.status();
  input.eml = std::move(*part);

  const std::string list_path = job.directory + "/" + job.spec.list.file;
  const StatusOr<FileStat> list_stat = loop.io().stat(list_path);
  if (!list_stat.ok()) {
    co_return annotate(list_stat.status(), "job.toml: list.file = \"" + job.spec.list.file + "\"");
  }
  if (list_stat->is_symlink) {
    co_return invalid("job.toml: list.file = \"" + job.spec.list.file +
                      "\" is a symbolic link; put the list itself into the job's directory");
  }
  bench.list = std::make_unique<ListSource>(loop, list_path, job.spec.list.file, limits);
  const Status opened = bench.list->open();
  if (!opened.ok()) co_return opened;
  const Status checked = co_await bench.list->check();
  if (!checked.ok()) co_return checked;
  job.columns = bench.list->columns();
  const Status column = find_address_column(job);
  if (!column.ok()) co_return column;
  const Status pool = find_pool(config, job);
  if (!pool.ok()) co_return pool;

  input.spec = &job.spec;
  input.columns = job.columns;
  input.job_id = job.id;
  input.host = config.smtp.hello;
  job.template_hash = sha256(*toml + '\0' + input.text + '\0' + input.html + '\0' + input.eml);
  StatusOr<std::unique_ptr<const MessageTemplate>> message = MessageTemplate::compile(input);
  if (!message.ok()) co_return message.status();
  job.message = std::move(*message);
  if (job.spec.send.rate) job.rate.emplace(*job.spec.send.rate);
  co_return Status();
}

}  // namespace

Task<StatusOr<JobPtr>> load_job(Loop& loop, const Configuration& config, const Limits& limits,
                                JobLoad load) {
  auto job = std::make_shared<Job>(load.shards);
  job->id = load.id;
  job->directory = load.directory;
  job->created = load.created;
  const auto bench = std::make_unique<Workbench>(loop);
  const Status status = co_await load_into(loop, config, limits, *job, *bench);
  if (!status.ok()) co_return status;
  co_return job;
}

}  // namespace sluice
