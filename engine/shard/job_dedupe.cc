#include "engine/shard/job_dedupe.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr uint64_t kFilterGrowth = 4;
constexpr uint64_t kFilterBytesPerEntry = 2;
constexpr size_t kSlice = 4'096;
// Rows that may be seen between a look at full() and the next.
constexpr uint64_t kRowsBetween = 4'096;

}  // namespace

JobDedupe::JobDedupe(Loop& loop, std::string directory, SipKey key, const Limits& limits,
                     std::function<bool()> stop)
    : loop_(loop),
      directory_(std::move(directory)),
      key_(key),
      limits_(limits),
      stop_(std::move(stop)),
      files_(loop) {
  make_table();
  remove_files();  // of an earlier process
}

JobDedupe::~JobDedupe() { remove_files(); }

void JobDedupe::remove_files() {
  const StatusOr<std::vector<std::string>> names = loop_.io().list(directory_);
  if (!names.ok()) return;
  for (const std::string& name : *names) (void)loop_.io().remove_file(directory_ + "/" + name);
  (void)loop_.io().remove_directory(directory_);
}

void JobDedupe::make_table() {
  latest_.emplace(uint64_t{limits_.dedupe_entries_max} + limits_.segment_rows_max + kRowsBetween,
                  key_);
}

size_t JobDedupe::memory_bytes() const {
  size_t sum = latest_->memory_bytes();
  if (filter_ != nullptr) sum += filter_->memory_bytes();
  for (const Run& run : runs_) sum += run.run->index.blocks() * sizeof(Hash128);
  return sum;
}

JobDedupe::Seen JobDedupe::see(std::string_view address) {
  const Hash128 hash = latest_->hash_of(address);
  if (filter_ != nullptr && filter_->may_contain(hash)) {
    return latest_->contains(hash) ? Seen::kBefore : Seen::kUnsure;
  }
  return latest_->insert(hash) ? Seen::kNew : Seen::kBefore;
}

Task<StatusOr<bool>> JobDedupe::look_up(std::string address) {
  const Hash128 hash = latest_->hash_of(address);
  for (size_t i = runs_.size(); i-- > 0;) {
    const StatusOr<bool> there = co_await files_.contains(runs_[i].run, hash);
    if (!there.ok() || *there) co_return there;
  }
  co_return !latest_->insert(hash);
}

// What is in the table becomes a run. The table stays as it is when that fails.
Task<Status> JobDedupe::spill() {
  if (latest_->size() == 0) co_return Status();
  const Status made = loop_.io().make_directory(directory_, 0750);
  if (!made.ok()) co_return made;
  const auto sorter = std::make_unique<HashSorter>(loop_, directory_ + "/sorting.",
                                                   limits_.dedupe_entries_max, stop_);
  std::vector<Hash128> spilled;
  spilled.reserve(latest_->size());
  latest_->append_to(spilled);
  sorter->chunk() = spilled;
  const StatusOr<HashRunPtr> run = co_await sorter->write_run(next_path());
  if (!run.ok()) co_return run.status();
  const Status widened = co_await widen_filter(spilled);
  if (!widened.ok()) {
    (void)loop_.io().remove_file((*run)->path);
    co_return widened;
  }
  on_disk_ += spilled.size();
  runs_.push_back({*run, 0});
  make_table();
  co_return co_await merge_runs();
}

// Adds what was spilled; makes a larger one of all runs when it does not fit.
Task<Status> JobDedupe::widen_filter(const std::vector<Hash128>& spilled) {
  const uint64_t entries = on_disk_ + spilled.size();
  const bool is_largest =
      filter_ != nullptr && filter_fits_ * kFilterBytesPerEntry >= limits_.dedupe_filter_bytes_max;
  std::unique_ptr<HashFilter> wider;
  if (filter_ == nullptr || (entries > filter_fits_ && !is_largest)) {
    wider = std::make_unique<HashFilter>(entries * kFilterGrowth, limits_.dedupe_filter_bytes_max);
    for (const Run& run : runs_) {
      const Status filled = co_await files_.fill(run.run, *wider, stop_);
      if (!filled.ok()) co_return filled;
    }
  }
  HashFilter& filter = wider != nullptr ? *wider : *filter_;
  for (size_t i = 0; i < spilled.size(); ++i) {
    filter.insert(spilled[i]);
    if (i % kSlice == 0) co_await yield();
  }
  if (wider != nullptr) {
    filter_ = std::move(wider);
    filter_fits_ = entries * kFilterGrowth;
  }
  co_return Status();
}

Task<Status> JobDedupe::merge_runs() {
  while (true) {
    const uint32_t size = runs_.back().size;
    const auto of_size = std::count_if(runs_.begin(), runs_.end(),
                                       [size](const Run& run) { return run.size == size; });
    if (static_cast<size_t>(of_size) < kRunsOfASize) co_return Status();
    const auto sorter = std::make_unique<HashSorter>(loop_, directory_ + "/sorting.",
                                                     limits_.dedupe_entries_max, stop_);
    const auto first = runs_.end() - of_size;
    for (auto run = first; run != runs_.end(); ++run) sorter->adopt(run->run);
    const StatusOr<HashRunPtr> merged = co_await sorter->write_run(next_path());
    if (!merged.ok()) co_return merged.status();
    runs_.erase(runs_.end() - of_size, runs_.end());
    runs_.push_back({*merged, size + 1});
  }
}

}  // namespace sluice
