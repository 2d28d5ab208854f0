#include "engine/shard/job_loader.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/digest.h"
#include "engine/base/strings.h"
#include "engine/config/job_file.h"
#include "engine/shard/file_tasks.h"
#include "engine/shard/job_transfer.h"
#include "engine/shard/list_source.h"
#include "engine/shard/message_files.h"
#include "engine/spool/job_directory.h"

namespace sluice {
namespace {

std::string what_there_is(Io& io, const std::string& directory, const std::string& name) {
  const StatusOr<std::vector<std::string>> names = io.list(directory);
  if (!names.ok() || names->empty()) return {};
  const std::vector<std::string_view> known(names->begin(), names->end());
  const std::string_view near = nearest(name, known);
  if (!near.empty()) return "; did you mean \"" + std::string(near) + "\"?";
  constexpr size_t kNamed = 10;
  std::vector<std::string> some(
      names->begin(),
      names->begin() + static_cast<std::ptrdiff_t>(std::min(kNamed, names->size())));
  return "; there is " + escaped(join(some, ", "), 400);
}

// What the message is made from; unchanged for a job without partials and attachments.
Sha256 hash_of(const std::string& toml, const TemplateInput& input) {
  std::string whole = toml + '\0' + input.text + '\0' + input.html + '\0' + input.eml;
  for (const auto& [path, contents] : input.partials) whole += '\0' + path + '\0' + contents;
  for (const std::string& contents : input.attachments) whole += '\0' + to_hex(sha256(contents));
  return sha256(whole);
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
  SenderKeys keys;
};

Task<Status> load_into(Loop& loop, const Configuration& config, const Limits& limits, Job& job,
                       Workbench& bench) {
  Io& io = loop.io();
  const JobPaths paths(job.directory);
  const StatusOr<std::string> toml =
      co_await bench.files.read_whole(paths.job_toml, kJobFileBytesMax);
  if (!toml.ok()) co_return toml.status();
  StatusOr<JobSpec> spec = parse_job(*toml, "job.toml");
  if (!spec.ok()) co_return spec.status();
  job.spec = std::move(*spec);

  TemplateInput input;
  const Status read = co_await read_message_files(io, bench.files, job.directory, job.spec, input,
                                                  job.message_files);
  if (!read.ok()) co_return read;

  const std::string list_path = job.directory + "/" + job.spec.list.file;
  const Status list_there = check_job_file(io, job.directory, job.spec.list.file, "list.file");
  if (!list_there.ok()) co_return list_there;
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
  input.dkim_keys = bench.keys.dkim;
  input.token_keys = bench.keys.tokens;
  input.verp_delimiter = config.verp.delimiter;
  for (const DkimEntry& entry : config.dkim) input.signing_domains.push_back(entry.domain);
  job.template_hash = hash_of(*toml, input);
  StatusOr<std::unique_ptr<const MessageTemplate>> message = MessageTemplate::compile(input);
  if (!message.ok()) co_return message.status();
  job.message = std::move(*message);
  co_return Status();
}

}  // namespace

std::string job_file_words(const std::string& name, const char* key) {
  if (key == nullptr) return name;
  return std::string("job.toml: ") + key + " = \"" + name + "\"";
}

Status check_job_file(Io& io, const std::string& directory, const std::string& name,
                      const char* key) {
  const std::string words = job_file_words(name, key);
  for (size_t slash = name.find('/'); slash != std::string::npos;
       slash = name.find('/', slash + 1)) {
    const StatusOr<FileStat> step = io.stat(directory + "/" + name.substr(0, slash));
    if (step.ok() && step->is_symlink) {
      return invalid(words + " leads through a symbolic link; put the folder itself there");
    }
  }
  const StatusOr<FileStat> stat = io.stat(directory + "/" + name);
  if (!stat.ok()) {
    if (stat.status().code() != absl::StatusCode::kNotFound) return annotate(stat.status(), words);
    return missing(words + ": no such file in the job's directory" +
                   what_there_is(io, directory, name));
  }
  if (stat->is_symlink) {
    return invalid(words + " is a symbolic link; put the file itself there");
  }
  if (!stat->is_file) return invalid(words + " is not a regular file");
  return {};
}

Task<StatusOr<JobPtr>> load_job(Loop& loop, const Configuration& config, const Limits& limits,
                                JobLoad load) {
  auto job = std::make_shared<Job>(load.shards);
  job->id = load.id;
  job->directory = load.directory;
  job->created = load.created;
  const auto bench = std::make_unique<Workbench>(loop);
  bench->keys = load.keys;
  const Status status = co_await load_into(loop, config, limits, *job, *bench);
  if (!status.ok()) co_return status;
  co_return job;
}

}  // namespace sluice
