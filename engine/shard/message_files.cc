#include "engine/shard/message_files.h"

#include <algorithm>
#include <utility>

#include "engine/base/strings.h"
#include "engine/config/job_file.h"
#include "engine/shard/job_loader.h"

namespace sluice {
namespace {

// A file that is there; `key` null: one that job.toml does not name. Its octets are added to
// `total`.
Task<StatusOr<std::string>> read_checked(Io& io, FileTasks& files, std::string directory,
                                         std::string name, const char* key, uint64_t bytes_max,
                                         uint64_t& total) {
  const Status good = check_job_file(io, directory, name, key);
  if (!good.ok()) co_return good;
  StatusOr<std::string> text = co_await files.read_whole(directory + "/" + name, bytes_max);
  if (!text.ok()) co_return annotate(text.status(), job_file_words(name, key));
  total += text->size();
  if (total > kMessageFilesBytesMax) {
    co_return invalid(job_file_words(name, key) + ": with it the files of the message have " +
                      grouped(total) + " octets, and may have " + grouped(kMessageFilesBytesMax) +
                      "; attach less, or link to what is large");
  }
  co_return text;
}

void add_name(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

}  // namespace

std::vector<MessageFile> message_files_of(const JobSpec::Message& message) {
  std::vector<MessageFile> files;
  const std::pair<const std::string*, const char*> templates[] = {{&message.text, "message.text"},
                                                                  {&message.html, "message.html"},
                                                                  {&message.eml, "message.eml"}};
  for (const auto& [name, key] : templates) {
    if (!name->empty()) files.push_back({*name, key, kTemplateBytesMax, true});
  }
  for (const std::string& name : message.attachments) {
    files.push_back({name, "message.attachments", kAttachmentBytesMax, false});
  }
  return files;
}

void PartialSearch::look_in(std::string_view text) {
  for (std::string& name : partial_names(text)) {
    if (known_.insert(name).second) wanted_.push_back(std::move(name));
  }
}

std::optional<std::string> PartialSearch::next(Io& io) {
  while (!wanted_.empty()) {
    const std::string name = std::move(wanted_.back());
    wanted_.pop_back();
    for (const std::string& path : partial_paths(file_, name)) {
      if (!is_job_path(path)) continue;
      const StatusOr<FileStat> there = io.stat(directory_ + "/" + path);
      if (!there.ok() || !(there->is_file || there->is_symlink)) continue;
      if (given_.insert(path).second) return path;
      break;
    }
  }
  return std::nullopt;
}

Task<Status> read_message_files(Io& io, FileTasks& files, std::string directory,
                                const JobSpec& spec, TemplateInput& input,
                                std::vector<std::string>& names) {
  const std::vector<MessageFile> wanted = message_files_of(spec.message);
  uint64_t total = 0;
  for (const MessageFile& file : wanted) {
    const std::string name = file.name;
    StatusOr<std::string> text =
        co_await read_checked(io, files, directory, name, file.key, file.bytes_max, total);
    if (!text.ok()) co_return text.status();
    add_name(names, name);
    if (!file.is_template) {
      input.attachments.push_back(std::move(*text));
      continue;
    }
    PartialSearch search(directory, name);
    search.look_in(*text);
    for (auto path = search.next(io); path; path = search.next(io)) {
      const std::string partial = *path;
      StatusOr<std::string> contents =
          co_await read_checked(io, files, directory, partial, nullptr, kTemplateBytesMax, total);
      if (!contents.ok()) co_return contents.status();
      search.look_in(*contents);
      input.partials[partial] = std::move(*contents);
      add_name(names, partial);
    }
    const std::string_view key = file.key;
    std::string& part = key == "message.text"   ? input.text
                        : key == "message.html" ? input.html
                                                : input.eml;
    part = std::move(*text);
  }
  co_return Status();
}

}  // namespace sluice
