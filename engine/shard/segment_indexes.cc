#include "engine/shard/segment_indexes.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/check.h"

namespace sluice {

void SegmentIndexes::add(OpenSegment& segment, const IndexPtr& index) {
  if (segment.index != nullptr) return;
  segment.index = index;
  segment.index_place = in_memory_.insert(in_memory_.end(), &segment);
  bytes_ += index->memory_bytes();
  while (bytes_ > bytes_max_ && in_memory_.front() != &segment) remove(*in_memory_.front());
}

void SegmentIndexes::remove(OpenSegment& segment) {
  if (segment.index == nullptr) return;
  bytes_ -= segment.index->memory_bytes();
  in_memory_.erase(segment.index_place);
  segment.index = nullptr;
}

Task<StatusOr<IndexPtr>> SegmentIndexes::get(OpenSegment& segment) {
  while (segment.index == nullptr && (segment.reads_index || reads_ >= kReadsMax)) {
    co_await read_.wait();
  }
  if (segment.index != nullptr) co_return segment.index;
  segment.reads_index = true;
  ++reads_;
  const auto files = std::make_unique<FileTasks>(loop_);
  StatusOr<IndexPtr> index = co_await read_index(loop_, *files, segment.segment->path);
  segment.reads_index = false;
  --reads_;
  if (index.ok() && (*index)->row_count() != segment.segment->rows) {
    index = io_error(segment.segment->path + ": another segment than it was");
  }
  if (index.ok()) add(segment, *index);
  read_.notify_all();
  co_return index;
}

Task<StatusOr<IndexPtr>> read_index(Loop& loop, FileTasks& files, std::string path) {
  const StatusOr<FileStat> stat = loop.io().stat(path);
  if (!stat.ok()) co_return stat.status();
  const StatusOr<Handle> file = loop.io().open_file(path, OpenMode::kRead);
  if (!file.ok()) co_return file.status();
  const uint64_t tail = std::min<uint64_t>(stat->bytes, kSegmentTrailerBytes);
  StatusOr<std::string> octets =
      co_await files.read_part(*file, path, stat->bytes - tail, kSegmentTrailerBytes);
  Status status = octets.status();
  IndexPtr index;
  if (status.ok()) {
    const StatusOr<SegmentTrailer> trailer = parse_segment_trailer(*octets, stat->bytes);
    status = trailer.status();
    if (status.ok()) {
      octets = co_await files.read_part(*file, path, trailer->index_offset, trailer->index_bytes);
      status = octets.status();
    }
    if (status.ok()) {
      StatusOr<SegmentIndex> parsed = SegmentIndex::parse(*octets, *trailer);
      status = parsed.status();
      if (status.ok()) index = std::make_shared<const SegmentIndex>(std::move(*parsed));
    }
  }
  loop.io().close(*file);
  if (!status.ok()) co_return annotate(status, path);
  co_return index;
}

}  // namespace sluice
