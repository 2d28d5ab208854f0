#include "engine/shard/read_ahead.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/schedule/retry.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

// Blocks kept for reuse; each may hold Limits::block_bytes_target octets.
constexpr size_t kSpareBlocksMax = 2;
// When no descriptor was left to read with, or too many reads were on their way.
constexpr Duration kReadAgain = std::chrono::milliseconds(100);

}  // namespace

ReadAhead::ReadAhead(Shard& shard, SiteQueue& queue, std::function<void()> changed)
    : shard_(shard), queue_(queue), changed_(std::move(changed)) {}

ReadAhead::~ReadAhead() = default;

State ReadAhead::Block::counted_as() const {
  if (pick.is_due) return pick.due.first_at == 0 ? State::kWaiting : State::kDeferred;
  return segment->is_deferred(pick.cursor.block) ? State::kDeferred : State::kWaiting;
}

ReadAhead::Loaded* ReadAhead::find(JobIndex job) {
  return const_cast<Loaded*>(std::as_const(*this).find(job));
}

const ReadAhead::Loaded* ReadAhead::find(JobIndex job) const {
  const auto at = std::find_if(loaded_.begin(), loaded_.end(),
                               [job](const Loaded& loaded) { return loaded.job == job; });
  return at == loaded_.end() ? nullptr : &*at;
}

ReadAhead::Loaded& ReadAhead::find_or_make(const Job& job) {
  if (Loaded* loaded = find(job.index)) {
    loaded->priority = job.spec.send.priority;
    return *loaded;
  }
  Loaded& loaded = loaded_.emplace_back();
  loaded.job = job.index;
  loaded.priority = job.spec.send.priority;
  loaded.served = turn_;  // behind those that wait already: coming and going wins no turn
  return loaded;
}

void ReadAhead::forget_empty(JobIndex job) {
  std::erase_if(loaded_, [job](const Loaded& loaded) {
    return loaded.job == job && loaded.blocks.empty() && !loaded.aside;
  });
}

// --- rows ----------------------------------------------------------------------------------------

const Job* ReadAhead::next_job(const Job* again) const {
  const Loaded* best = nullptr;
  const Loaded* same = nullptr;
  for (const Loaded& loaded : loaded_) {
    if (loaded.aside || loaded.blocks.empty()) continue;
    if (again != nullptr && loaded.job == again->index) same = &loaded;
    const bool goes_before = best == nullptr || loaded.priority < best->priority ||
                             (loaded.priority == best->priority && loaded.served < best->served);
    if (goes_before) best = &loaded;
  }
  if (same != nullptr && same->priority == best->priority) best = same;
  return best == nullptr ? nullptr : &best->blocks.front()->job();
}

std::optional<TakenRow> ReadAhead::take(const Job& job) {
  while (true) {
    Loaded* loaded = find(job.index);
    if (loaded == nullptr || loaded->aside || loaded->blocks.empty()) return std::nullopt;
    if (loaded->next >= loaded->blocks.size()) loaded->next = 0;
    if (std::optional<TakenRow> taken = take_from(*loaded, loaded->next)) return taken;
  }
}

// Nothing when the block could not be read further: it is gone then.
std::optional<TakenRow> ReadAhead::take_from(Loaded& loaded, size_t index) {
  Block& block = *loaded.blocks[index];
  TakenRow taken;
  taken.segment = block.segment;
  bool readable = true;
  do {
    taken.number = block.reader.position();
    readable = block.reader.next(taken.row);
  } while (readable && !block.pick.is_due && !block.segment->segment->is_waiting(taken.number));
  if (block.pick.is_due) {
    taken.attempts = block.pick.due.attempts();
    if (block.pick.due.first_at != 0) taken.first_at = from_unix_seconds(block.pick.due.first_at);
  } else if (block.segment->is_deferred(block.block)) {
    taken.first_at = block.job().created;
  }
  const uint64_t used = readable ? 1 : block.rows_left;
  if (!readable) drop_unreadable(block, block.reader.status());
  block.rows_left -= used;
  loaded.rows -= used;
  rows_ -= used;
  if (!loaded.aside) ready_ -= used;
  loaded.served = ++turn_;
  if (block.rows_left > 0) {
    ++loaded.next;
    return taken;
  }
  // The row's views point into it: it is kept until the next one is used up.
  spare_.push_back(std::move(loaded.blocks[index]));
  if (spare_.size() > kSpareBlocksMax) spare_.erase(spare_.begin());
  loaded.blocks.erase(loaded.blocks.begin() + static_cast<std::ptrdiff_t>(index));
  --blocks_;
  if (loaded.blocks.empty()) {
    is_low_ = true;
    forget_empty(loaded.job);
  }
  if (!readable) return std::nullopt;
  return taken;
}

std::optional<TakenRow> ReadAhead::take_expired(WallTime now) {
  for (Loaded& loaded : loaded_) {
    for (size_t index = 0; index < loaded.blocks.size(); ++index) {
      const Block& block = *loaded.blocks[index];
      const bool attempted = block.pick.is_due && block.pick.due.first_at != 0;
      const WallTime since =
          attempted ? from_unix_seconds(block.pick.due.first_at) : block.job().created;
      if (!lifetime_over(since, now, block.job().spec.send.lifetime)) continue;
      // What could not be read is gone, and the lane looks again.
      return take_from(loaded, index);
    }
  }
  return std::nullopt;
}

uint64_t ReadAhead::rows_of(JobIndex job) const {
  const Loaded* loaded = find(job);
  return loaded == nullptr ? 0 : loaded->rows;
}

// --- jobs that wait ------------------------------------------------------------------------------

void ReadAhead::set_aside(JobIndex job) {
  Loaded& loaded = find_or_make(shard_.job(job));
  if (loaded.aside) return;
  loaded.aside = true;
  ready_ -= loaded.rows;
}

void ReadAhead::resume(JobIndex job) {
  Loaded* loaded = find(job);
  if (loaded == nullptr || !loaded->aside) return;
  loaded->aside = false;
  ready_ += loaded->rows;
  forget_empty(job);
}

void ReadAhead::cancel(JobIndex job,
                       const std::function<void(OpenSegment&, State, uint64_t)>& gone) {
  Loaded* loaded = find(job);
  if (loaded == nullptr) return;
  Loaded cancelled = std::move(*loaded);
  loaded_.erase(loaded_.begin() + (loaded - loaded_.data()));
  rows_ -= cancelled.rows;
  if (!cancelled.aside) ready_ -= cancelled.rows;
  blocks_ -= cancelled.blocks.size();
  for (const std::unique_ptr<Block>& block : cancelled.blocks) {
    gone(*block->segment, block->counted_as(), block->rows_left);
  }
}

void ReadAhead::unload() {
  spare_.clear();
  for (Loaded& loaded : loaded_) {
    for (const std::unique_ptr<Block>& block : loaded.blocks) {
      --blocks_;
      rows_ -= block->rows_left;
      if (!loaded.aside) ready_ -= block->rows_left;
      put_back(*block);
    }
    loaded.blocks.clear();
    loaded.blocks.shrink_to_fit();
    loaded.rows = 0;
  }
  std::erase_if(loaded_, [](const Loaded& loaded) { return !loaded.aside; });
}

// --- reading -------------------------------------------------------------------------------------

Task<> ReadAhead::load(uint64_t enough) {
  pick_blocks(enough);
  if (reading_.empty()) co_return;
  co_await read_blocks();
  while (std::any_of(reading_.begin(), reading_.end(),
                     [](const auto& block) { return block->read.in_flight(); })) {
    co_await read_done_;
  }
  end_reads();
}

void ReadAhead::pick_blocks(uint64_t enough) {
  is_low_ = false;
  if (shard_.now() < read_again_at_) return;
  uint64_t rows = ready_;
  const auto wants_block = [this](JobIndex job) { return wants_a_block(job); };
  while (reading_.size() < kReadsAtOnce && blocks_ + reading_.size() < kBlocksMax) {
    const std::optional<Pick> pick =
        rows < enough ? queue_.next(shard_.peers().clock, shard_.now())
                      : queue_.next(shard_.peers().clock, shard_.now(), wants_block);
    if (!pick) return;
    std::unique_ptr<Block> block = spare_block();
    block->pick = *pick;
    const uint32_t ref = pick->is_due ? pick->due.segment_ref : pick->cursor.segment_ref;
    block->segment = shard_.find_segment(ref);
    CHECK(block->segment != nullptr);
    block->domain = pick->is_due ? 0 : pick->cursor.domain;
    block->rows_left = pick->is_due ? 1 : pick->cursor.rows;
    if (!pick->is_due) shard_.peers().cursors[shard_.number()].value.fetch_sub(1);
    rows += block->rows_left;
    reading_.push_back(std::move(block));
  }
}

Task<> ReadAhead::read_blocks() {
  bool can_read = true;
  for (const std::unique_ptr<Block>& block : reading_) {
    if (can_read) {
      block->index = block->segment->index;
      if (block->index == nullptr) {
        StatusOr<IndexPtr> index = co_await shard_.indexes().get(*block->segment);
        if (!index.ok()) {
          drop_unreadable(*block, index.status());
          block->rows_left = 0;
          continue;
        }
        block->index = *index;
      }
      can_read = start_read(*block);
    }
    if (can_read) continue;
    read_again_at_ = shard_.now() + kReadAgain;
    put_back(*block);
    block->rows_left = 0;
  }
}

// It has none here, or few and none of the domain whose turn is next.
bool ReadAhead::wants_a_block(JobIndex job) const {
  const std::optional<uint64_t> domain = queue_.next_domain(job);
  size_t blocks = 0;
  bool is_here = !domain.has_value();
  const auto look = [&](const Block& block) {
    if (block.pick.job != job) return;
    ++blocks;
    is_here = is_here || block.domain == *domain;
  };
  if (const Loaded* loaded = find(job)) {
    for (const auto& block : loaded->blocks) look(*block);
  }
  for (const auto& block : reading_) look(*block);
  return blocks == 0 || (blocks < kDomainsAJob && !is_here);
}

std::unique_ptr<ReadAhead::Block> ReadAhead::spare_block() {
  if (spare_.empty()) return std::make_unique<Block>(read_done_);
  std::unique_ptr<Block> block = std::move(spare_.back());
  spare_.pop_back();
  return block;
}

// False when no descriptor is left: to be tried again.
bool ReadAhead::start_read(Block& block) {
  OpenSegment& segment = *block.segment;
  block.block =
      block.pick.is_due ? block.index->find_row(block.pick.due.row()) : block.pick.cursor.block;
  const Status opened = shard_.begin_read(segment);
  if (absl::IsResourceExhausted(opened)) return false;
  if (!opened.ok()) {
    drop_unreadable(block, opened);
    block.rows_left = 0;
    return true;
  }
  const BlockEntry entry = block.index->block(block.block);
  block.octets.resize(entry.bytes);
  shard_.io().read(block.read, segment.file, block.octets, entry.offset);
  return true;
}

// What is left of a block waits in the queue as its last so many rows.
void ReadAhead::put_back(Block& block) {
  const uint8_t priority = block.job().spec.send.priority;
  if (block.pick.is_due) {
    queue_.add_due(block.pick.due, block.pick.job, priority);
    return;
  }
  block.pick.cursor.rows = static_cast<uint32_t>(block.rows_left);
  queue_.add(block.pick.cursor, priority, block.domain);
  shard_.peers().cursors[shard_.number()].value.fetch_add(1);
}

// To the first row that is to be handed out.
Status ReadAhead::open(Block& block) {
  shard_.end_read(*block.segment);
  const PublishedSegment& segment = *block.segment->segment;
  const IndexPtr index = std::exchange(block.index, nullptr);
  const IoResult result = block.read.take();
  if (!result.ok()) return io_error(segment.path + ": " + std::string(name_of(result.error)));
  // A short read fails the length and checksum test of open().
  const auto got = static_cast<size_t>(result.value);
  RETURN_IF_ERROR(
      block.reader.open(*index, block.block, std::string_view(block.octets).substr(0, got)));
  block.domain = domain_turn(block.reader.entry().domain);
  if (block.pick.is_due) return block.reader.seek(block.pick.due.row());
  uint64_t used = segment.waiting_rows(block.reader.entry()) - block.rows_left;
  if (used == 0) return {};
  SegmentRow row = block.reader.entry().first_row;
  for (; used > 0 || !segment.is_waiting(row); ++row) {
    if (segment.is_waiting(row)) --used;
  }
  return block.reader.seek(row);
}

void ReadAhead::end_reads() {
  for (std::unique_ptr<Block>& block : reading_) {
    if (block->read.done()) {
      const Status opened = open(*block);
      if (!opened.ok()) {
        drop_unreadable(*block, opened);
        block->rows_left = 0;
      }
    }
    if (block->rows_left > 0 && block->job().cancelled) {
      shard_.cancel_rows(*block->segment, block->counted_as(),
                         static_cast<int64_t>(std::exchange(block->rows_left, 0)));
    }
    if (block->rows_left == 0) {
      if (spare_.size() < kSpareBlocksMax) spare_.push_back(std::move(block));
    } else {
      keep(std::move(block));
    }
  }
  reading_.clear();
}

void ReadAhead::keep(std::unique_ptr<Block> block) {
  Loaded& loaded = find_or_make(block->job());
  if (block->job().paused && !loaded.aside) {
    loaded.aside = true;
    ready_ -= loaded.rows;
  }
  loaded.rows += block->rows_left;
  rows_ += block->rows_left;
  if (!loaded.aside) ready_ += block->rows_left;
  loaded.blocks.push_back(std::move(block));
  ++blocks_;
}

void ReadAhead::drop_unreadable(Block& block, const Status& why) {
  shard_.complain_of(*block.segment, why);
  changed_();  // others may be readable
}

}  // namespace sluice
