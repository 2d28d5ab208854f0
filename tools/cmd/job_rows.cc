#include "tools/cmd/job_rows.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/strings.h"
#include "engine/control/admin_client.h"
#include "engine/control/documents.h"
#include "engine/record/outcome_file.h"
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

// Counts rows and calls back for each, rejected ones between them.
class Visitor {
 public:
  Visitor(const std::function<Status(const ReportRow&)>& visit, Counts& counts)
      : visit_(visit), counts_(counts) {}

  Status open(const OpenDirectory& directory) { return rejected_.open(directory); }

  Status segment(const SegmentRows& rows, const Outcomes& outcomes) {
    count(State::kSuppressed, rows.meta.suppressed);
    count(State::kDuplicate, rows.meta.duplicate);
    count(State::kRejected, rows.meta.rejected);
    for (const SegmentRows::Entry& entry : rows.entries) {
      ReportRow row;
      row.number = entry.number;
      row.recipient = std::string_view(rows.text).substr(entry.text_offset, entry.text_bytes);
      row.outcome = outcomes.find(rows.meta.number, entry.row);
      RETURN_IF_ERROR(visit(row));
    }
    // What was rejected behind the last row of the segment.
    return rejected_before(rows.meta.row_end);
  }

  Status visit(const ReportRow& row) {
    RETURN_IF_ERROR(rejected_before(row.number));
    count(row.outcome.state, 1);
    counts_.attempts += row.outcome.attempts;
    if (row.outcome.maybe_delivered) ++counts_.maybe_delivered;
    if (row.outcome.dns_stale) ++counts_.stale;
    return visit_(row);
  }

  Status end(const OutcomeTotals& totals) {
    count(State::kSuppressed, totals.suppressed);
    count(State::kDuplicate, totals.duplicate);
    count(State::kRejected, totals.rejected);
    return rejected_before(UINT64_MAX);
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

  const std::function<Status(const ReportRow&)>& visit_;
  Counts& counts_;
  RejectedRows rejected_;
};

// The descriptor of the file `outcomes`; nothing when there is none.
StatusOr<std::optional<int>> open_outcomes(const OpenDirectory& directory) {
  const StatusOr<int> file = directory.open_file("outcomes");
  if (file.status().code() == absl::StatusCode::kNotFound) return std::optional<int>();
  if (!file.ok()) return file.status();
  return std::optional<int>(*file);
}

}  // namespace

StatusOr<Outcomes> read_outcomes(const SpoolPaths& spool, const std::string& job,
                                 const std::string& socket) {
  Outcomes outcomes(job);
  if (::access(JobPaths(spool.done_job(job)).outcomes.c_str(), F_OK) == 0) return outcomes;
  // Asked before the journal is read: what ends in between has its final state there.
  std::vector<RowPlace> in_flight;
  if (!socket.empty()) {
    const StatusOr<std::string> document = admin_get(socket, "/api/v1/jobs/" + job + "/in_flight");
    if (document.ok()) {
      ASSIGN_OR_RETURN(in_flight, parse_in_flight_document(*document));
    }
  }
  RETURN_IF_ERROR(
      read_journal(spool, [&outcomes](const JournalEntry& entry) { return outcomes.add(entry); }));
  for (const RowPlace& row : in_flight) outcomes.mark_in_flight(row);
  return outcomes;
}

StatusOr<OutcomeTotals> read_outcome_file(int descriptor, const std::string& name,
                                          const std::function<Status(const OutcomeRow&)>& visit) {
  OutcomeReader reader(name);
  OutcomeRow row;
  std::string octets(kReadBytes, '\0');
  while (true) {
    switch (reader.next(row)) {
      case OutcomeReader::Step::kRow:
        RETURN_IF_ERROR(visit(row));
        break;
      case OutcomeReader::Step::kEnd:
        return reader.totals();
      case OutcomeReader::Step::kCorrupt:
        return reader.status();
      case OutcomeReader::Step::kMore:
        const ssize_t count = ::read(descriptor, octets.data(), octets.size());
        if (count < 0 && errno == EINTR) break;
        if (count < 0) return io_error("cannot read " + name + ": " + strerror(errno));
        reader.feed(std::string_view(octets).substr(0, static_cast<size_t>(count)));
        if (count == 0) reader.end();
        break;
    }
  }
}

Status visit_rows(const OpenDirectory& directory, const Outcomes& outcomes,
                  const std::function<Status(const ReportRow&)>& visit, Counts* counts) {
  Counts unasked;
  Visitor visitor(visit, counts != nullptr ? *counts : unasked);
  RETURN_IF_ERROR(visitor.open(directory));
  ASSIGN_OR_RETURN(const std::optional<int> condensed, open_outcomes(directory));
  if (condensed) {
    ReportRow row;
    const auto each = [&](const OutcomeRow& of_file) {
      row.number = of_file.number;
      row.recipient = of_file.address;
      row.outcome = of_file.outcome;
      return visitor.visit(row);
    };
    const StatusOr<OutcomeTotals> totals = read_outcome_file(*condensed, "outcomes", each);
    ::close(*condensed);
    if (!totals.ok()) return totals.status();
    if (totals->texts_left_out > 0) {
      std::fprintf(stderr, "sluice: %s replies were too many to be kept\n",
                   grouped(totals->texts_left_out).c_str());
    }
    return visitor.end(*totals);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, directory.list("segments"));
  std::vector<SegmentNumber> numbers;
  for (const std::string& name : names) {
    if (const auto number = parse_segment_name(name)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  SegmentRows rows;
  Status damage;
  for (const SegmentNumber number : numbers) {
    const std::string name = "segments/" + segment_name(number);
    const StatusOr<std::string> octets = directory.read(name, kSegmentBytesMax);
    Status read = octets.ok() ? read_rows(*octets, rows) : octets.status();
    if (!read.ok()) {
      read = annotate(read, name);
      std::fprintf(stderr, "sluice: %s; its rows are left out\n", message_of(read).c_str());
      damage.Update(read);
      continue;
    }
    RETURN_IF_ERROR(visitor.segment(rows, outcomes));
  }
  return damage;
}

StatusOr<std::optional<Outcome>> find_outcome(const OpenDirectory& directory, uint64_t number) {
  ASSIGN_OR_RETURN(const std::optional<int> condensed, open_outcomes(directory));
  std::optional<Outcome> found;
  if (!condensed) return found;
  // Rows come in the order of the list: none behind it needs to be read.
  const auto each = [&](const OutcomeRow& row) {
    if (row.number < number) return Status();
    if (row.number == number) found = row.outcome;
    return Status(absl::CancelledError());
  };
  const StatusOr<OutcomeTotals> totals = read_outcome_file(*condensed, "outcomes", each);
  ::close(*condensed);
  if (!totals.ok() && !absl::IsCancelled(totals.status())) return totals.status();
  if (found) found->exchanger = found->source = found->site = {};
  return found;
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
