#include "engine/shard/list_source.h"

#include <span>
#include <utility>

#include "engine/base/check.h"

namespace sluice {
namespace {

constexpr size_t kReadBytes = 256UL << 10;

}  // namespace

ListSource::ListSource(Loop& loop, std::string path, std::string name, const Limits& limits)
    : loop_(loop),
      path_(std::move(path)),
      buffer_(std::make_unique<char[]>(kReadBytes)),
      decoder_(std::make_unique<ListDecoder>(name)),
      name_(std::move(name)),
      reader_(name_, limits) {}

ListSource::~ListSource() {
  if (file_ != kNoHandle) loop_.io().close(file_);
}

Status ListSource::open() {
  ASSIGN_OR_RETURN(const FileStat there, loop_.io().stat(path_));
  bytes_ = there.bytes;
  ASSIGN_OR_RETURN(file_, loop_.io().open_file(path_, OpenMode::kRead));
  return {};
}

Task<Status> ListSource::check() {
  while (true) {
    ListRecord record;
    const Next got = next(record);
    if (got == Next::kRecord) co_return Status();
    if (got == Next::kFailed) co_return status_;
    if (got == Next::kEnd) {
      co_return invalid(name_ + " has no recipients: it needs a line for each" +
                        (is_jsonl_name(name_) ? "" : ", and a header line"));
    }
    const Status filled = co_await fill();
    if (!filled.ok()) co_return filled;
  }
}

void ListSource::resume(const ListPosition& position) {
  decoder_ = std::make_unique<ListDecoder>(name_);
  decoder_->skip(position.offset);
  offset_ = 0;
  file_ended_ = false;
  reader_.seek(position);
}

// Moves one decoded piece to the reader. False when there is none.
bool ListSource::pull_decoded() {
  const StatusOr<std::string_view> piece = decoder_->pull();
  if (!piece.ok()) {
    status_ = piece.status();
    return false;
  }
  if (piece->empty()) return false;
  reader_.feed(*piece);
  return true;
}

ListSource::Next ListSource::next(ListRecord& record) {
  while (status_.ok()) {
    switch (reader_.next(record)) {
      case ListResult::kRecord:
        return Next::kRecord;
      case ListResult::kEnd:
        return Next::kEnd;
      case ListResult::kFailed:
        status_ = reader_.status();
        return Next::kFailed;
      case ListResult::kNeedMore:
        break;
    }
    if (pull_decoded()) continue;
    if (!status_.ok()) break;
    if (!file_ended_) return Next::kMore;
    reader_.finish();
  }
  return Next::kFailed;
}

Task<Status> ListSource::fill() {
  CHECK(!file_ended_);
  loop_.io().read(op_, file_, std::span(buffer_.get(), kReadBytes), offset_);
  while (!op_.done()) co_await done_;
  const IoResult result = op_.take();
  if (!result.ok()) {
    status_ = io_error("cannot read " + path_ + ": " + std::string(name_of(result.error)));
    co_return status_;
  }
  if (result.value == 0) {
    file_ended_ = true;
    decoder_->finish();
  } else {
    offset_ += static_cast<uint64_t>(result.value);
    decoder_->feed(std::span<const char>(buffer_.get(), static_cast<size_t>(result.value)));
  }
  co_return Status();
}

}  // namespace sluice
