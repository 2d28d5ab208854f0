#include "engine/shard/suppressor.h"

#include <algorithm>
#include <utility>

#include "engine/base/log.h"
#include "engine/base/strings.h"
#include "engine/shard/shard.h"
#include "engine/spool/address.h"

namespace sluice {
namespace {

constexpr Duration kLookInterval = std::chrono::seconds(5);
constexpr Duration kVerifyInterval = std::chrono::minutes(1);
// Comparing old octets may use so much of the time: one part in ten.
constexpr int kVerifyShare = 10;
constexpr Duration kPostAgain = std::chrono::milliseconds(5);
constexpr size_t kSlice = 4'096;
constexpr size_t kBouncesBytesMax = 64UL << 20;

bool is_list(std::string_view name) { return name.ends_with(".txt") && name.front() != '.'; }
bool is_of_bounces(std::string_view name) {
  return name.ends_with(".bounced") && name.front() != '.';
}

}  // namespace

Suppressor::Suppressor(Shard& home)
    : home_(home),
      place_{home.loop(), home.limits(), home.peers().spool.suppress,
             home.peers().spool.suppress_index, [&home] { return home.draining(); }},
      files_(home.loop()),
      runs_(home.loop()),
      pause_(home.loop()),
      views_(home.peers().shard_count) {
  const auto nothing = std::make_shared<const SuppressionSet>();
  for (View& view : views_) view.set = nothing;
}

Status Suppressor::prepare() {
  Io& io = home_.io();
  if (!io.stat(place_.lists).ok()) RETURN_IF_ERROR(io.make_directory(place_.lists, 02770));
  if (!io.stat(place_.index).ok()) RETURN_IF_ERROR(io.make_directory(place_.index, 0750));
  return {};
}

void Suppressor::tell_once(const std::string& about, const Status& status) {
  std::string& last = told_[about];
  const std::string text = message_of(status);
  if (last == text) return;
  last = text;
  if (!status.ok()) {
    log(LogLevel::kWarning, text +
                                "; what was read of it before stays in force; the group that "
                                "sluice runs as must be able to read it");
  }
}

// --- reading -------------------------------------------------------------------------------------

// Takes up the runs that an earlier process made: of each list the newest.
Task<Status> Suppressor::restore_runs() {
  StatusOr<std::vector<std::string>> names = home_.io().list(place_.index);
  if (!names.ok()) co_return names.status();
  // Generations of one list stand in order: the newest first.
  std::reverse(names->begin(), names->end());
  for (const std::string& name : *names) {
    const std::string path = place_.index + "/" + name;
    const auto generation = SuppressFile::parse_run_name(name);
    if (!generation) {
      // What was being written when a process was killed.
      if (name.starts_with("sorting.") || name.ends_with(".run.new")) {
        (void)home_.io().remove_file(path);
      }
      continue;
    }
    const StatusOr<HashRunPtr> run = co_await runs_.open(path);
    Status status = run.status();
    if (status.ok()) {
      const std::string list = SuppressFile::list_of(**run);
      auto file = std::make_unique<SuppressFile>(place_, list);
      if (!lists_.contains(list)) {
        status = co_await file->restore(path, *generation);
        if (status.ok()) {
          lists_.emplace(list, std::move(file));
          continue;
        }
      }
    }
    if (!status.ok()) log(LogLevel::kWarning, message_of(status) + "; its list is read anew");
    (void)home_.io().remove_file(path);
  }
  co_return Status();
}

// Brings one list up to date.
Task<Status> Suppressor::look_at(const std::string& name) {
  const std::string path = place_.lists + "/" + name;
  const StatusOr<FileStat> stat = home_.io().stat(path);
  if (!stat.ok()) {
    if (absl::IsNotFound(stat.status())) co_return Status();
    co_return stat.status();
  }
  const auto known = lists_.find(name);
  if (known != lists_.end() && known->second->is_current(*stat)) co_return Status();
  std::unique_ptr<SuppressFile> made;
  if (known == lists_.end()) made = std::make_unique<SuppressFile>(place_, name);
  SuppressFile& file = made ? *made : *known->second;
  const Status status = co_await file.read(*stat);
  if (!status.ok()) co_return status;
  changed_ = true;
  if (made) lists_.emplace(name, std::move(made));
  co_return status;
}

void Suppressor::forget(const std::string& name) {
  const auto found = lists_.find(name);
  found->second->retire_run();
  for (std::string& path : found->second->take_retired()) retired_.push_back(std::move(path));
  lists_.erase(found);
  told_.erase(name);
  changed_ = true;
}

// Looks at all lists.
Task<Status> Suppressor::scan() {
  StatusOr<std::vector<std::string>> names = home_.io().list(place_.lists);
  if (!names.ok()) co_return names.status();
  std::erase_if(*names, [](const std::string& name) { return !is_list(name); });
  unread_ = Status();
  for (const std::string& name : *names) {
    const Status status = co_await look_at(name);
    if (home_.draining()) co_return unavailable("sluice is stopping");
    tell_once(name, status);
    if (!status.ok()) unread_ = status;
  }
  std::vector<std::string> gone;
  for (const auto& [name, file] : lists_) {
    if (!std::binary_search(names->begin(), names->end(), name)) gone.push_back(name);
  }
  for (const std::string& name : gone) forget(name);
  co_return co_await keep_within_memory();
}

// The largest go to the disk until the rest fits.
Task<Status> Suppressor::keep_within_memory() {
  while (true) {
    size_t sum = 0;
    SuppressFile* largest = nullptr;
    for (const auto& [name, file] : lists_) {
      sum += file->keys().size();
      if (largest == nullptr || file->keys().size() > largest->keys().size()) largest = file.get();
    }
    if (sum <= home_.limits().suppress_memory_entries) break;
    const size_t before = largest->keys().size();
    const Status put = co_await largest->put_on_disk();
    if (!put.ok()) co_return put;
    if (largest->keys().size() == before) break;  // all of it lies behind its last whole piece
    changed_ = true;
  }
  co_return Status();
}

// Of the lists that grew one is compared with what was read of it.
Task<Status> Suppressor::verify_one() {
  if (home_.now() < verify_at_) co_return Status();
  for (const auto& [name, file] : lists_) {
    if (!file->is_unverified()) continue;
    const Instant began = home_.now();
    const Status verified = co_await file->verify();
    const Duration taken = home_.now() - began;
    verify_at_ = home_.now() + std::max<Duration>(kVerifyInterval, taken * kVerifyShare);
    co_return verified;
  }
  co_return Status();
}

// --- the set in force ----------------------------------------------------------------------------

// The runs of all lists, behind one filter: the one there is, when they are the same.
Task<Status> Suppressor::fill_runs(SuppressionSet::Runs& runs) {
  uint64_t entries = 0;
  for (const auto& [name, file] : lists_) {
    if (file->run() == nullptr) continue;
    runs.files.push_back(file->run());
    entries += file->run()->index.entries();
  }
  if (runs.files == shared_runs_.files) {
    runs.filter = shared_runs_.filter;
    co_return Status();
  }
  if (runs.files.empty()) co_return Status();
  const auto filter =
      std::make_shared<HashFilter>(entries, home_.limits().suppress_filter_bytes_max);
  for (const auto& [name, file] : lists_) {
    if (file->run() == nullptr) continue;
    const Status filled = co_await runs_.fill(file->run(), *filter, place_.stop);
    if (!filled.ok()) {
      file->distrust();
      co_return filled;
    }
  }
  runs.filter = filter;
  co_return Status();
}

Task<Status> Suppressor::publish() {
  SuppressionSet::Runs runs;
  const Status filled = co_await fill_runs(runs);
  if (!filled.ok()) co_return filled;
  SuppressKinds kinds;
  SuppressionSet::Sorted sorted;
  for (const auto& [name, file] : lists_) {
    kinds |= file->kinds();
    sorted.keys.insert(sorted.keys.end(), file->keys().begin(), file->keys().end());
  }
  co_await sort_in_slices(sorted.keys);
  if (!sorted.keys.empty()) {
    const auto filter =
        std::make_shared<HashFilter>(sorted.keys.size(), home_.limits().suppress_filter_bytes_max);
    for (size_t i = 0; i < sorted.keys.size(); ++i) {
      filter->insert(sorted.keys[i]);
      if (i % kSlice == 0) co_await yield();
    }
    sorted.filter = filter;
  }
  const auto set = std::make_shared<const SuppressionSet>(kinds, std::move(sorted), runs);
  const bool given = co_await give_to_all(set);
  if (!given) co_return unavailable("sluice is stopping");
  shared_runs_ = std::move(runs);
  changed_ = false;
  log(LogLevel::kInfo, "suppression: " + grouped(set->entries()) + " entries of " +
                           grouped(lists_.size()) + " lists are in force, with " +
                           grouped(set->memory_bytes() >> 10) + " KiB of memory");
  // Who still asks them is told that they are gone, and asks the new set.
  for (const auto& [name, file] : lists_) {
    for (std::string& path : file->take_retired()) retired_.push_back(std::move(path));
  }
  for (const std::string& path : std::exchange(retired_, {})) (void)home_.io().remove_file(path);
  co_return Status();
}

Task<bool> Suppressor::give_to_all(SuppressionSetPtr set) {
  const auto wait = std::make_unique<Pause>(home_.loop());
  for (uint32_t shard = 0; shard < views_.size(); ++shard) {
    const auto take = [this, shard, set] {
      views_[shard].set = set;
      views_[shard].clear.clear();
    };
    if (shard == home_.number()) {
      take();
      continue;
    }
    while (!home_.peers().post(shard, take)) {
      if (home_.draining()) co_return false;
      co_await wait->lasting(kPostAgain);
    }
  }
  co_return true;
}

// --- the story -----------------------------------------------------------------------------------

Task<Status> Suppressor::load() {
  const Status restored = co_await restore_runs();
  if (!restored.ok()) co_return restored;
  Status status = co_await scan();
  if (!status.ok()) co_return status;
  if (!unread_.ok()) {
    co_return annotate(unread_,
                       "a suppression list cannot be read; let the group that sluice runs as read "
                       "it, or move it away if mail may go to its recipients");
  }
  if (lists_.empty()) {
    changed_ = false;
    co_return Status();
  }
  status = co_await publish();
  if (status.ok() || home_.draining()) co_return status;
  // A run was damaged: its list is read anew.
  log(LogLevel::kWarning, message_of(status) + "; its list is read anew");
  status = co_await scan();
  if (status.ok()) status = co_await publish();
  co_return status;
}

Task<> Suppressor::watch() {
  while (!home_.draining()) {
    co_await pause_.lasting(kLookInterval);
    if (home_.draining()) break;
    const Status bounces = co_await collect_bounces();
    if (home_.draining()) break;
    tell_once("bounced.txt, bounces", bounces);
    Status status = co_await scan();
    if (home_.draining()) break;
    if (status.ok() && changed_) status = co_await publish();
    if (home_.draining()) break;
    if (status.ok()) status = co_await verify_one();
    if (!home_.draining()) tell_once("", status);
  }
}

// --- bounces -------------------------------------------------------------------------------------

Task<Status> Suppressor::collect_bounces() {
  StatusOr<std::vector<std::string>> names = home_.io().list(place_.index);
  if (!names.ok()) co_return names.status();
  std::erase_if(*names, [](const std::string& name) { return !is_of_bounces(name); });
  if (names->empty()) co_return Status();
  const SuppressionSetPtr set = in_force(home_.number());
  absl::flat_hash_set<Hash128, HashOf> seen;
  std::string lines;
  std::string scratch;
  for (const std::string& name : *names) {
    const StatusOr<std::string> octets =
        co_await files_.read_whole(place_.index + "/" + name, kBouncesBytesMax);
    if (!octets.ok()) co_return octets.status();
    for (const std::string_view line : split(*octets, '\n')) {
      const AddressResult parsed = parse_address(line, scratch);
      if (!parsed.ok() || !seen.insert(suppress_key_of_address(parsed.address.address)).second) {
        continue;
      }
      const SuppressionSet::Keys keys = set->keys_of(parsed.address.address, parsed.address.domain);
      SuppressionSet::Keys unsure;
      const SuppressionSet::Answer answer = set->ask(keys, unsure);
      if (answer == SuppressionSet::Answer::kSuppressed) continue;
      if (answer == SuppressionSet::Answer::kUnsure) {
        const StatusOr<bool> there = co_await runs_hold(runs_, set, unsure);
        if (!there.ok()) co_return there.status();
        if (*there) continue;
      }
      lines += line;
      lines += '\n';
    }
  }
  if (!lines.empty()) {
    const Status appended = co_await append_bounces(lines);
    if (!appended.ok()) co_return appended;
  }
  for (const std::string& name : *names) (void)home_.io().remove_file(place_.index + "/" + name);
  co_return Status();
}

Task<Status> Suppressor::append_bounces(std::string lines) {
  const std::string path = place_.lists + "/bounced.txt";
  const StatusOr<FileStat> stat = home_.io().stat(path);
  if (!stat.ok() && !absl::IsNotFound(stat.status())) co_return stat.status();
  const uint64_t bytes = stat.ok() ? stat->bytes : 0;
  if (bytes > 0) {
    const StatusOr<Handle> file = home_.io().open_file(path, OpenMode::kRead);
    if (!file.ok()) co_return file.status();
    const StatusOr<std::string> last = co_await files_.read_part(*file, path, bytes - 1, 1);
    home_.io().close(*file);
    if (!last.ok()) co_return last.status();
    if (*last != "\n") lines.insert(0, "\n");
  }
  Status status = co_await files_.append_durably(path, lines, bytes);
  if (status.ok() && bytes == 0) status = co_await files_.sync_directory(place_.lists);
  co_return status;
}

}  // namespace sluice
