// A job's list as a stream of records: file, decompression, CSV or JSON lines.
//
// THREAD. The shard's; one task at a time. LIMITS. 256 KiB of file at a time, and what the decoder
// and reader keep. ERRORS. A list that is broken as a whole; bad records come out as records.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/limits.h"
#include "engine/ring/loop.h"
#include "engine/ring/task.h"
#include "engine/spool/list_decoder.h"
#include "engine/spool/list_reader.h"

namespace sluice {

class ListSource {
 public:
  // `name` stands in messages.
  ListSource(Loop& loop, std::string path, std::string name, const Limits& limits);
  ListSource(const ListSource&) = delete;
  ListSource& operator=(const ListSource&) = delete;
  ~ListSource();

  Status open();
  // Reads as far as the first record, to know the columns and that there is a record at all. What
  // follows must be resume(), or another ListSource: that first record is used up.
  Task<Status> check();
  // Goes on at a place that position() once gave. REQUIRES: check() succeeded.
  void resume(const ListPosition& position);

  enum class Next : uint8_t { kRecord, kMore, kEnd, kFailed };
  // The next record if it is in memory already; kMore: call fill(). Never waits.
  Next next(ListRecord& record);
  // Reads more of the file.
  Task<Status> fill();

  const std::vector<std::string>& columns() const { return reader_.columns(); }
  const ListPosition& position() const { return reader_.position(); }
  const Status& status() const { return status_; }
  // Of the file's octets, packed as they are: 0 to 1.
  double read_share() const {
    return bytes_ == 0 ? 0
                       : std::min(static_cast<double>(offset_) / static_cast<double>(bytes_), 1.0);
  }

 private:
  bool pull_decoded();

  Loop& loop_;
  const std::string path_;
  Signal done_;
  Operation op_{done_};
  Handle file_ = kNoHandle;
  uint64_t offset_ = 0;
  uint64_t bytes_ = 0;  // of the file
  bool file_ended_ = false;
  std::unique_ptr<char[]> buffer_;
  std::unique_ptr<ListDecoder> decoder_;
  const std::string name_;
  ListReader reader_;
  Status status_;
};

}  // namespace sluice
