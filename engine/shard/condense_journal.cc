#include "engine/shard/condense_journal.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/record/parser.h"
#include "engine/shard/file_tasks.h"

namespace sluice {
namespace {

constexpr size_t kReadBytes = 128UL << 10;

// Walks over what was fed: no entry is wanted.
JournalParser::Step walk(JournalParser& parser) {
  JournalEntry entry;
  auto step = JournalParser::Step::kEntry;
  while (step == JournalParser::Step::kEntry) step = parser.next(entry);
  return step;
}

}  // namespace

void JournalJobs::set(const JournalPlace& file, std::set<std::string> jobs) {
  files_[file] = {true, std::move(jobs)};
}

void JournalJobs::add(const JournalPlace& file, const std::string& job) {
  files_[file].jobs.insert(job);
}

bool JournalJobs::may_hold(const JournalPlace& file, const std::string& job) const {
  const auto found = files_.find(file);
  return found == files_.end() || !found->second.whole || found->second.jobs.contains(job);
}

JournalJobs::Use JournalJobs::use_of(const JournalPlace& file,
                                     const std::set<std::string>& jobs) const {
  const auto found = files_.find(file);
  if (found == files_.end()) return Use::kUnknown;
  for (const std::string& job : found->second.jobs) {
    if (jobs.contains(job)) return Use::kNeeded;
  }
  return found->second.whole ? Use::kNotNeeded : Use::kUnknown;
}

Task<Status> learn_journal_file(Loop& loop, std::string path, JournalPlace place,
                                std::set<std::string> needed, JournalJobs& jobs,
                                std::function<bool()> stopped) {
  const StatusOr<Handle> file = loop.io().open_file(path, OpenMode::kRead);
  if (!file.ok()) co_return file.status();
  const auto files = std::make_unique<FileTasks>(loop);
  const auto seen = std::make_unique<std::set<std::string>>();
  const auto parser = std::make_unique<JournalParser>(path);
  parser->only("", 0, 0);
  parser->name_jobs(seen.get());
  uint64_t offset = 0;
  Status status;
  auto step = JournalParser::Step::kMore;
  while (step == JournalParser::Step::kMore && !stopped()) {
    const StatusOr<std::string> octets = co_await files->read_part(*file, path, offset, kReadBytes);
    status = octets.status();
    if (!status.ok()) break;
    offset += octets->size();
    parser->feed(*octets);
    if (octets->empty()) parser->end();
    step = walk(*parser);
    const auto found = std::find_if(seen->begin(), seen->end(),
                                    [&](const std::string& job) { return needed.contains(job); });
    if (found != seen->end()) {
      jobs.add(place, *found);
      break;
    }
    co_await yield();
  }
  loop.io().close(*file);
  if (step == JournalParser::Step::kCorrupt) status = parser->status();
  if (step == JournalParser::Step::kEnd) jobs.set(place, std::move(*seen));
  co_return status;
}

}  // namespace sluice
