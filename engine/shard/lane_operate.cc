// The part of a lane that does what the operator says of a job.
#include <utility>

#include "engine/shard/lane.h"
#include "engine/shard/lane_block.h"
#include "engine/shard/shard.h"

namespace sluice {

void Lane::pause_job(JobIndex job) {
  queue_.pause_job(job);
  for (std::unique_ptr<LoadedBlock>& block : loaded_) {
    if (block->rows_left == 0 || block->segment->segment->job->index != job) continue;
    loaded_rows_ -= block->rows_left;
    held_.push_back(std::move(block));
  }
  std::erase_if(loaded_, [](const auto& block) { return block == nullptr; });
  nudge();
}

void Lane::resume_job(JobIndex job) {
  queue_.resume_job(job);
  for (std::unique_ptr<LoadedBlock>& block : held_) {
    if (block->segment->segment->job->index != job) continue;
    loaded_rows_ += block->rows_left;
    loaded_.push_back(std::move(block));
  }
  std::erase_if(held_, [](const auto& block) { return block == nullptr; });
  nudge();
}

void Lane::cancel_job(JobIndex job) {
  const auto on_cursor = [this](const Cursor& cursor) {
    OpenSegment& segment = *shard_.find_segment(cursor.segment_ref);
    const uint32_t domain = segment.segment->index.block(cursor.block).domain_index;
    shard_.peers().cursors[shard_.number()].value.fetch_sub(1);
    shard_.cancel_rows(segment, segment.is_deferred(domain) ? State::kDeferred : State::kWaiting,
                       cursor.rows);
  };
  queue_.remove_job(job, on_cursor, [this](const DueRow& row) { cancel_due(row); });
  for (const std::unique_ptr<LoadedBlock>& block : loaded_) {
    if (block->rows_left == 0 || block->segment->segment->job->index != job) continue;
    loaded_rows_ -= block->rows_left;
    cancel_block(*block);
  }
  for (const std::unique_ptr<LoadedBlock>& block : held_) {
    if (block->segment->segment->job->index == job) cancel_block(*block);
  }
  std::erase_if(held_, [](const auto& block) { return block->rows_left == 0; });
  nudge();
}

void Lane::cancel_due(const DueRow& row) {
  const State state = row.first_at == 0 ? State::kWaiting : State::kDeferred;
  shard_.cancel_rows(*shard_.find_segment(row.segment_ref), state, 1);
}

void Lane::cancel_block(LoadedBlock& block) {
  const uint64_t rows = std::exchange(block.rows_left, 0);
  State state = State::kWaiting;
  if (block.pick.is_due) {
    if (block.pick.due.first_at != 0) state = State::kDeferred;
  } else if (block.segment->is_deferred(
                 block.segment->segment->index.block(block.block).domain_index)) {
    state = State::kDeferred;
  }
  shard_.cancel_rows(*block.segment, state, static_cast<int64_t>(rows));
}

}  // namespace sluice
