#include "tools/cmd/job_rows.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/strings.h"
#include "engine/control/admin_client.h"
#include "engine/control/documents.h"
#include "engine/spool/csv_reader.h"
#include "engine/spool/segment_reader.h"
#include "tools/cmd/spool_jobs.h"

namespace sluice::tools {
namespace {

constexpr size_t kReadBytes = 256UL << 10;
// A segment ends at 8 MiB, or with the row that goes beyond it; its index comes on top.
constexpr uint64_t kSegmentBytesMax = 256UL << 20;

// rejected.csv as a stream of rows in the order of the list. A missing file is an empty one.
class RejectedRows {
 public:
  RejectedRows() : reader_("rejected.csv", Limits()) {}
  RejectedRows(const RejectedRows&) = delete;
  RejectedRows& operator=(const RejectedRows&) = delete;
  ~RejectedRows() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  Status open(const OpenDirectory& directory) {
    const StatusOr<int> file = directory.open_file("rejected.csv");
    if (file.status().code() == absl::StatusCode::kNotFound) return {};
    if (!file.ok()) return file.status();
    descriptor_ = *file;
    octets_.resize(kReadBytes);
    return advance();
  }

  // The row that comes next; 0 when none does.
  uint64_t number() const { return number_; }
  std::string_view address() const { return address_; }
  const std::string& reason() const { return reason_; }
  uint64_t line() const { return line_; }

  // To the next row; one that was written twice, before and after a crash, comes once.
  Status advance() {
    const uint64_t before = std::exchange(number_, 0);
    ListRecord record;
    while (true) {
      switch (reader_.next(record)) {
        case CsvReader::Result::kRecord:
          if (take(record) && number_ > before) return {};
          number_ = 0;
          break;
        case CsvReader::Result::kNeedMore:
          RETURN_IF_ERROR(feed());
          break;
        case CsvReader::Result::kEnd:
          return {};
        case CsvReader::Result::kFailed:
          // An empty file, or one cut within its header, has no rows.
          return reader_.has_header() ? reader_.status() : Status();
      }
    }
  }

 private:
  bool take(const ListRecord& record) {
    if (record.error != nullptr || record.values.size() < 4) return false;
    number_ = parse_decimal(record.values[0]).value_or(0);
    line_ = parse_decimal(record.values[1]).value_or(0);
    address_ = record.values[2];
    reason_ = record.values[3];
    return number_ != 0;
  }

  Status feed() {
    ssize_t count = 0;
    do {
      count = ::read(descriptor_, octets_.data(), octets_.size());
    } while (count < 0 && errno == EINTR);
    if (count < 0) return io_error(std::string("cannot read rejected.csv: ") + strerror(errno));
    if (count == 0) {
      reader_.finish();
    } else {
      reader_.feed(std::string_view(octets_.data(), static_cast<size_t>(count)));
    }
    return {};
  }

  CsvReader reader_;
  int descriptor_ = -1;
  std::string octets_;
  uint64_t number_ = 0;
  uint64_t line_ = 0;
  std::string address_;
  std::string reason_;
};

// A segment's rows, before they are put into the order of the list.
struct SegmentRows {
  struct Entry {
    uint64_t number;
    SegmentRow row;
    uint32_t text_offset;
    uint32_t text_bytes;
  };
  SegmentMeta meta;
  std::vector<Entry> entries;
  std::string text;
};

Status read_rows(const std::string& octets, SegmentRows& out) {
  out.entries.clear();
  out.text.clear();
  if (octets.size() < kSegmentTrailerBytes) return io_error("it is cut short");
  const std::string_view file(octets);
  ASSIGN_OR_RETURN(
      const SegmentTrailer trailer,
      parse_segment_trailer(file.substr(file.size() - kSegmentTrailerBytes), file.size()));
  ASSIGN_OR_RETURN(
      const SegmentIndex index,
      SegmentIndex::parse(file.substr(trailer.index_offset, trailer.index_bytes), trailer));
  out.meta = index.meta();
  BlockReader reader;
  Row row;
  for (uint32_t block = 0; block < index.block_count(); ++block) {
    const BlockEntry entry = index.block(block);
    RETURN_IF_ERROR(reader.open(index, block, file.substr(entry.offset, entry.bytes)));
    for (SegmentRow at = reader.position(); reader.next(row); at = reader.position()) {
      out.entries.push_back({row.number, at, static_cast<uint32_t>(out.text.size()),
                             static_cast<uint32_t>(row.address.size())});
      out.text += row.address;
    }
    RETURN_IF_ERROR(reader.status());
  }
  std::sort(out.entries.begin(), out.entries.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  return {};
}

class Visitor {
 public:
  Visitor(const Outcomes& outcomes, const std::function<Status(const ReportRow&)>& visit,
          Counts& counts)
      : outcomes_(outcomes), visit_(visit), counts_(counts) {}

  Status open(const OpenDirectory& directory) { return rejected_.open(directory); }

  Status segment(const SegmentRows& rows) {
    count(State::kSuppressed, rows.meta.suppressed);
    count(State::kDuplicate, rows.meta.duplicate);
    count(State::kRejected, rows.meta.rejected);
    for (const SegmentRows::Entry& entry : rows.entries) {
      RETURN_IF_ERROR(rejected_before(entry.number));
      ReportRow row;
      row.number = entry.number;
      row.recipient = std::string_view(rows.text).substr(entry.text_offset, entry.text_bytes);
      row.outcome = outcomes_.find(rows.meta.number, entry.row);
      count(row.outcome.state, 1);
      counts_.attempts += row.outcome.attempts;
      if (row.outcome.maybe_delivered) ++counts_.maybe_delivered;
      RETURN_IF_ERROR(visit_(row));
    }
    // What was rejected behind the last row of the segment.
    return rejected_before(rows.meta.row_end);
  }

 private:
  void count(State state, uint64_t rows) {
    counts_.states[static_cast<size_t>(state)] += static_cast<int64_t>(rows);
  }

  Status rejected_before(uint64_t number) {
    while (rejected_.number() != 0 && rejected_.number() < number) {
      ReportRow row;
      row.number = rejected_.number();
      row.recipient = rejected_.address();
      row.outcome.state = State::kRejected;
      row.outcome.text = rejected_.reason();
      RETURN_IF_ERROR(visit_(row));
      RETURN_IF_ERROR(rejected_.advance());
    }
    return {};
  }

  const Outcomes& outcomes_;
  const std::function<Status(const ReportRow&)>& visit_;
  Counts& counts_;
  RejectedRows rejected_;
};

}  // namespace

StatusOr<Outcomes> read_outcomes(const SpoolPaths& spool, const std::string& job,
                                 const std::string& socket) {
  // Asked before the journal is read: what ends in between has its final state there.
  std::vector<RowPlace> in_flight;
  if (!socket.empty()) {
    const StatusOr<std::string> document = admin_get(socket, "/api/v1/jobs/" + job + "/in_flight");
    if (document.ok()) {
      ASSIGN_OR_RETURN(in_flight, parse_in_flight_document(*document));
    }
  }
  Outcomes outcomes(job);
  RETURN_IF_ERROR(
      read_journal(spool, [&outcomes](const JournalEntry& entry) { return outcomes.add(entry); }));
  for (const RowPlace& row : in_flight) outcomes.mark_in_flight(row);
  return outcomes;
}

Status visit_rows(const OpenDirectory& directory, const Outcomes& outcomes,
                  const std::function<Status(const ReportRow&)>& visit, Counts* counts) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, directory.list("segments"));
  std::vector<SegmentNumber> numbers;
  for (const std::string& name : names) {
    if (const auto number = parse_segment_name(name)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  Counts unasked;
  Visitor visitor(outcomes, visit, counts != nullptr ? *counts : unasked);
  RETURN_IF_ERROR(visitor.open(directory));
  SegmentRows rows;
  for (const SegmentNumber number : numbers) {
    const std::string name = "segments/" + segment_name(number);
    ASSIGN_OR_RETURN(const std::string octets, directory.read(name, kSegmentBytesMax));
    const Status read = read_rows(octets, rows);
    if (!read.ok()) return annotate(read, name);
    RETURN_IF_ERROR(visitor.segment(rows));
  }
  return {};
}

StatusOr<std::optional<RejectedRow>> find_rejected(const OpenDirectory& directory,
                                                   uint64_t number) {
  RejectedRows rows;
  RETURN_IF_ERROR(rows.open(directory));
  while (rows.number() != 0 && rows.number() < number) RETURN_IF_ERROR(rows.advance());
  std::optional<RejectedRow> found;
  if (rows.number() == number) {
    found = RejectedRow{rows.line(), std::string(rows.address()), rows.reason()};
  }
  return found;
}

StatusOr<Counts> count_job(const SpoolPaths& spool, const OpenDirectory& directory,
                           const std::string& job) {
  ASSIGN_OR_RETURN(const Outcomes outcomes, read_outcomes(spool, job));
  Counts counts;
  const auto nothing = [](const ReportRow&) { return Status(); };
  RETURN_IF_ERROR(visit_rows(directory, outcomes, nothing, &counts));
  return counts;
}

}  // namespace sluice::tools
