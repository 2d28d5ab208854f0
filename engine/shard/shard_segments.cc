// The part of a shard that keeps segments open as long as rows of them are at home here.
#include <utility>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

// Files of segments kept open between reads; beyond it they are opened for each.
constexpr uint32_t kSegmentFilesMax = 32;

}  // namespace

OpenSegment& Shard::open_segment(const SegmentPtr& segment) {
  std::unique_ptr<OpenSegment>& open = segments_[segment->ref];
  if (!open) {
    open = std::make_unique<OpenSegment>();
    open->segment = segment;
  }
  return *open;
}

OpenSegment* Shard::find_segment(uint32_t ref) {
  const auto found = segments_.find(ref);
  return found == segments_.end() ? nullptr : found->second.get();
}

void Shard::release(OpenSegment& segment) {
  CHECK(segment.holds > 0);
  --holds_;
  if (--segment.holds > 0) return;
  close_file(segment);
  indexes_.remove(segment);
  segments_.erase(segment.segment->ref);
}

void Shard::complain_of(OpenSegment& segment, const Status& why) {
  if (std::exchange(segment.complained, true)) return;
  std::string words = "rows of " + segment.segment->path;
  words += " cannot be read and stay where they are: " + message_of(why);
  words += "; restore the file and start again";
  log(LogLevel::kError, words);
  peers_.unreadable(segment.segment->job->index, std::move(words));
}

Status Shard::begin_read(OpenSegment& segment) {
  // The rest of the ring's operations belongs to the connections.
  if (reads_ >= limits().operations_per_ring / 16) return exhausted("too many reads at once");
  if (segment.file == kNoHandle) {
    ASSIGN_OR_RETURN(segment.file, io().open_file(segment.segment->path, OpenMode::kRead));
    ++segment_files_;
  }
  ++segment.reads;
  ++reads_;
  return {};
}

void Shard::end_read(OpenSegment& segment) {
  CHECK(segment.reads > 0 && reads_ > 0);
  --reads_;
  // Rows of a slow site keep a segment for days, and there may be thousands of such segments.
  if (--segment.reads == 0 && segment_files_ > kSegmentFilesMax) close_file(segment);
}

void Shard::close_file(OpenSegment& segment) {
  if (segment.file == kNoHandle) return;
  io().close(std::exchange(segment.file, kNoHandle));
  --segment_files_;
}

void Shard::row_done(OpenSegment& segment) {
  const JobPtr job = segment.segment->job;
  release(segment);
  if (job->open_rows.fetch_sub(1, std::memory_order_acq_rel) == 1) peers_.job_ended(job);
}

}  // namespace sluice
