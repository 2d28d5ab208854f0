#include "engine/shard/condense_rows.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/shard/segment_indexes.h"

namespace sluice {
namespace {

// Read at once; blocks are not cut.
constexpr uint64_t kStretchBytes = 64UL << 10;
// Sorted at once, about 0.1 ms.
constexpr size_t kRunRows = 2'048;

}  // namespace

Task<Status> SegmentRowsInOrder::load(std::string path) {
  rows_.clear();
  text_ends_.clear();
  text_.clear();
  runs_.clear();
  run_begin_ = 0;
  StatusOr<IndexPtr> index = co_await read_index(loop_, files_, path);
  if (!index.ok()) co_return index.status();
  index_ = std::move(*index);
  rows_.reserve(index_->row_count());
  text_ends_.reserve(index_->row_count());
  const StatusOr<Handle> file = loop_.io().open_file(path, OpenMode::kRead);
  if (!file.ok()) co_return file.status();
  const Status read = co_await read_blocks(*file, path);
  loop_.io().close(*file);
  if (!read.ok()) co_return annotate(read, path);
  end_run();
  std::make_heap(runs_.begin(), runs_.end(), [this](const Run& a, const Run& b) {
    return rows_[a.next].number > rows_[b.next].number;
  });
  co_return Status();
}

Task<Status> SegmentRowsInOrder::read_blocks(Handle file, std::string path) {
  uint32_t block = 0;
  while (block < index_->block_count()) {
    const BlockEntry first = index_->block(block);
    uint64_t bytes = first.bytes;
    uint32_t last = block + 1;
    while (last < index_->block_count() && bytes < kStretchBytes) {
      bytes += index_->block(last++).bytes;
    }
    const StatusOr<std::string> octets = co_await files_.read_part(file, path, first.offset, bytes);
    if (!octets.ok()) co_return octets.status();
    if (octets->size() < bytes) co_return io_error("it is cut short");
    for (; block < last; ++block) {
      const BlockEntry entry = index_->block(block);
      const std::string_view all = *octets;
      const Status taken = take_block(block, all.substr(entry.offset - first.offset, entry.bytes));
      if (!taken.ok()) co_return taken;
      if (rows_.size() - run_begin_ < kRunRows) continue;
      end_run();
      co_await yield();
    }
  }
  co_return Status();
}

Status SegmentRowsInOrder::take_block(uint32_t block, std::string_view octets) {
  BlockReader reader;
  RETURN_IF_ERROR(reader.open(*index_, block, octets));
  Row row;
  for (SegmentRow at = reader.position(); reader.next(row); at = reader.position()) {
    rows_.push_back({row.number, at, static_cast<uint32_t>(text_.size())});
    text_ += row.address;
    text_ends_.push_back(static_cast<uint32_t>(text_.size()));
  }
  return reader.status();
}

void SegmentRowsInOrder::end_run() {
  if (run_begin_ == rows_.size()) return;
  std::sort(rows_.begin() + static_cast<ptrdiff_t>(run_begin_), rows_.end(),
            [](const Kept& a, const Kept& b) { return a.number < b.number; });
  runs_.push_back({run_begin_, rows_.size()});
  run_begin_ = rows_.size();
}

bool SegmentRowsInOrder::next(Entry& entry) {
  if (runs_.empty()) return false;
  const auto later = [this](const Run& a, const Run& b) {
    return rows_[a.next].number > rows_[b.next].number;
  };
  std::pop_heap(runs_.begin(), runs_.end(), later);
  Run& run = runs_.back();
  const Kept& kept = rows_[run.next];
  entry.number = kept.number;
  entry.row = kept.row;
  entry.address = std::string_view(text_).substr(kept.text, text_ends_[kept.row] - kept.text);
  if (++run.next == run.end) {
    runs_.pop_back();
  } else {
    std::push_heap(runs_.begin(), runs_.end(), later);
  }
  return true;
}

}  // namespace sluice
