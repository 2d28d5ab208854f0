#include "engine/shard/row_finder.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace sluice {
namespace {

uint32_t stretch_of(const BlockEntry& block) {
  return static_cast<uint32_t>(block.offset / RowFinder::kStretchBytes);
}

// The first block that begins in `stretch` or behind it.
uint32_t first_block_of(const SegmentIndex& index, uint64_t stretch) {
  uint32_t low = 0;
  uint32_t high = index.block_count();
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (stretch_of(index.block(middle)) < stretch) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace

RowFinder::File* RowFinder::file_of(std::string_view job, SegmentNumber segment) {
  if (last_ != nullptr && last_->number == segment && last_->job == job) return last_;
  for (const auto& file : open_) {
    if (file->number == segment && file->job == job) return last_ = file.get();
  }
  return nullptr;
}

RowFinder::Found RowFinder::find(std::string_view job, SegmentNumber segment, SegmentRow row,
                                 Row& out) {
  File* file = file_of(job, segment);
  if (file == nullptr) return Found::kLoad;
  file->used = ++uses_;
  if (file->gone || row >= file->index.row_count()) return Found::kGone;
  const uint32_t block = file->index.find_row(row);
  const BlockEntry entry = file->index.block(block);
  const auto found = stretches_.find(Key{file->id, stretch_of(entry)});
  if (found == stretches_.end()) return Found::kLoad;
  Stretch& stretch = *found->second;
  stretch.used = uses_;
  if (stretch.damaged) return Found::kGone;
  std::unique_ptr<BlockReader>& reader = stretch.readers[block - stretch.first_block];
  if (!reader) {
    reader = std::make_unique<BlockReader>();
    (void)reader->open(
        file->index, block,
        std::string_view(stretch.octets).substr(entry.offset - stretch.offset, entry.bytes));
  }
  if (!reader->status().ok() || !reader->seek(row).ok() || !reader->next(out)) return Found::kGone;
  return Found::kRow;
}

Task<Status> RowFinder::load(std::string job, SegmentNumber segment, SegmentRow row) {
  File* file = file_of(job, segment);
  if (file == nullptr) {
    const Status opened = co_await open_file(job, segment);
    if (!opened.ok()) co_return opened;
    file = file_of(job, segment);
  }
  if (file->gone || row >= file->index.row_count()) co_return Status();
  const uint32_t block = file->index.find_row(row);
  if (stretches_.contains(Key{file->id, stretch_of(file->index.block(block))})) co_return Status();
  const Status read = co_await read_stretch(file, block);
  co_return read;
}

Task<Status> RowFinder::open_file(std::string job, SegmentNumber segment) {
  if (open_.size() >= kFilesMax) forget_oldest_file();
  auto made = std::make_unique<File>();
  File* file = made.get();
  file->job = std::move(job);
  file->number = segment;
  file->id = ++ids_;
  file->used = ++uses_;
  open_.push_back(std::move(made));
  // A job moves from active/ to done/ once: not in the one and then not in the other means gone.
  StatusOr<Handle> opened = kNoHandle;
  for (const bool done : {false, true}) {
    const std::string directory = done ? spool_.done_job(file->job) : spool_.active_job(file->job);
    file->path = JobPaths(directory).segment(segment);
    opened = loop_.io().open_file(file->path, OpenMode::kRead);
    if (opened.status().code() != absl::StatusCode::kNotFound) break;
  }
  file->gone = true;  // until it is known to be good
  if (opened.status().code() == absl::StatusCode::kNotFound) co_return Status();
  if (!opened.ok()) co_return opened.status();
  file->handle = *opened;
  const Status read = co_await read_index(file);
  if (!read.ok()) co_return annotate(read, file->path);
  file->gone = false;
  co_return Status();
}

Task<Status> RowFinder::read_index(File* file) {
  const StatusOr<FileStat> stat = loop_.io().stat(file->path);
  // It may have moved since it was opened: then the other place knows its size.
  uint64_t bytes = 0;
  if (stat.ok()) {
    bytes = stat->bytes;
  } else {
    file->path = JobPaths(spool_.done_job(file->job)).segment(file->number);
    const StatusOr<FileStat> moved = loop_.io().stat(file->path);
    if (!moved.ok()) co_return moved.status();
    bytes = moved->bytes;
  }
  if (bytes < kSegmentTrailerBytes) co_return io_error("it is cut short");
  const uint64_t tail = bytes - kSegmentTrailerBytes;
  StatusOr<std::string> octets =
      co_await files_.read_part(file->handle, file->path, tail, kSegmentTrailerBytes);
  if (!octets.ok()) co_return octets.status();
  const StatusOr<SegmentTrailer> trailer = parse_segment_trailer(*octets, bytes);
  if (!trailer.ok()) co_return trailer.status();
  octets = co_await files_.read_part(file->handle, file->path, trailer->index_offset,
                                     trailer->index_bytes);
  if (!octets.ok()) co_return octets.status();
  StatusOr<SegmentIndex> index = SegmentIndex::parse(*octets, *trailer);
  if (!index.ok()) co_return index.status();
  file->index = std::move(*index);
  co_return Status();
}

Task<Status> RowFinder::read_stretch(File* file, uint32_t block) {
  if (stretches_.size() >= kStretchesMax) forget_oldest_stretch();
  const SegmentIndex& index = file->index;
  const uint32_t number = stretch_of(index.block(block));
  auto stretch = std::make_unique<Stretch>();
  stretch->first_block = first_block_of(index, number);
  const uint32_t last_block = first_block_of(index, uint64_t{number} + 1) - 1;
  const BlockEntry last = index.block(last_block);
  stretch->offset = index.block(stretch->first_block).offset;
  stretch->readers.resize(last_block - stretch->first_block + 1);
  stretch->used = ++uses_;
  const size_t bytes = last.offset + last.bytes - stretch->offset;
  StatusOr<std::string> octets =
      co_await files_.read_part(file->handle, file->path, stretch->offset, bytes);
  Status status = octets.status();
  if (octets.ok() && octets->size() < bytes) status = io_error(file->path + " is cut short");
  stretch->damaged = !status.ok();
  if (status.ok()) stretch->octets = std::move(*octets);
  stretches_.emplace(Key{file->id, number}, std::move(stretch));
  co_return status;
}

void RowFinder::forget_oldest_file() {
  const auto oldest = std::min_element(
      open_.begin(), open_.end(), [](const auto& a, const auto& b) { return a->used < b->used; });
  CHECK(oldest != open_.end());
  const uint32_t id = (*oldest)->id;
  absl::erase_if(stretches_, [id](const auto& entry) { return entry.first.file == id; });
  if ((*oldest)->handle != kNoHandle) loop_.io().close((*oldest)->handle);
  if (last_ == oldest->get()) last_ = nullptr;
  open_.erase(oldest);
}

void RowFinder::forget_oldest_stretch() {
  // Each use has a number of its own: the order of the map decides nothing.
  const auto oldest = std::min_element(
      stretches_.begin(), stretches_.end(),
      [](const auto& a, const auto& b) { return a.second->used < b.second->used; });
  stretches_.erase(oldest);
}

void RowFinder::clear() {
  stretches_.clear();
  for (const auto& file : open_) {
    if (file->handle != kNoHandle) loop_.io().close(file->handle);
  }
  open_.clear();
  last_ = nullptr;
}

}  // namespace sluice
