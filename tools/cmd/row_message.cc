#include "tools/cmd/row_message.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/base/strings.h"
#include "engine/model/limits.h"
#include "engine/shard/list_source.h"
#include "engine/spool/address.h"
#include "engine/spool/job_directory.h"
#include "tools/cmd/job_rows.h"
#include "tools/cmd/run_task.h"
#include "tools/cmd/segment_file.h"
#include "tools/cmd/spool_jobs.h"

namespace sluice::tools {
namespace {

std::string row_words(uint64_t number) { return "row " + std::to_string(number); }

StatusOr<std::unique_ptr<SegmentFile>> open_segment(const OpenDirectory& job,
                                                    SegmentNumber number) {
  const std::string name = "segments/" + segment_name(number);
  ASSIGN_OR_RETURN(const int descriptor, job.open_file(name));
  return SegmentFile::open(descriptor, name);
}

// The segment that looked at row `number`; null when none did. Segments follow each other.
StatusOr<std::unique_ptr<SegmentFile>> find_segment(const OpenDirectory& job, uint64_t number) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, job.list("segments"));
  std::vector<SegmentNumber> numbers;
  for (const std::string& name : names) {
    if (const auto known = parse_segment_name(name)) numbers.push_back(*known);
  }
  std::sort(numbers.begin(), numbers.end());
  size_t low = 0;
  size_t high = numbers.size();
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    ASSIGN_OR_RETURN(std::unique_ptr<SegmentFile> file, open_segment(job, numbers[middle]));
    const SegmentMeta& meta = file->index().meta();
    if (number >= meta.row_end) {
      low = middle + 1;
    } else if (number < meta.row_begin) {
      high = middle;
    } else {
      return file;
    }
  }
  return std::unique_ptr<SegmentFile>();
}

Status left_out(const OpenDirectory& job, uint64_t number) {
  ASSIGN_OR_RETURN(const std::optional<RejectedRow> rejected, find_rejected(job, number));
  if (rejected) {
    return invalid(row_words(number) + " was rejected, line " + std::to_string(rejected->line) +
                   " of the list: " + rejected->reason + ": " + rejected->address);
  }
  return invalid(row_words(number) +
                 " was left out as a duplicate of an earlier row, or as suppressed: no message is "
                 "made for it");
}

}  // namespace

OwnedRow::OwnedRow(const Row& row)
    : number_(row.number),
      address_(row.address),
      local_part_bytes_(row.local_part.size()),
      domain_at_(row.address.size() - row.domain.size()),
      needs_smtputf8_(row.needs_smtputf8),
      values_(row.values.begin(), row.values.end()),
      views_(values_.begin(), values_.end()) {}

Row OwnedRow::view() const {
  const std::string_view address = address_;
  Row row;
  row.number = number_;
  row.address = address;
  row.local_part = address.substr(0, local_part_bytes_);
  row.domain = address.substr(domain_at_);
  row.needs_smtputf8 = needs_smtputf8_;
  row.values = views_;
  return row;
}

Status take_row(const Job& job, const ListRecord& record, std::string& scratch, Row& row) {
  const auto rejected = [&](const std::string& why) {
    return invalid(job.spec.list.file + ":" + std::to_string(record.line) + ": " +
                   row_words(record.number) + " is rejected: " + why);
  };
  if (record.error != nullptr) return rejected(record.error);
  const std::string_view given = record.values[job.address_column];
  const AddressResult parsed = parse_address(given, scratch);
  if (!parsed.ok()) return rejected(std::string(parsed.error) + ": " + escaped(given, 200));
  row.number = record.number;
  row.address = parsed.address.address;
  row.local_part = parsed.address.local_part;
  row.domain = parsed.address.domain;
  row.needs_smtputf8 = parsed.address.needs_smtputf8;
  row.values = record.values;
  const ComposeResult fits = job.message->check(row);
  return fits.ok() ? Status() : rejected(fits.refusal.text);
}

StatusOr<OwnedRow> find_list_row(Loop& loop, const Job& job, uint64_t number) {
  ListSource list(loop, job.directory + "/" + job.spec.list.file, job.spec.list.file, Limits());
  RETURN_IF_ERROR(list.open());
  ListRecord record;
  std::string scratch;
  Row row;
  while (true) {
    switch (list.next(record)) {
      case ListSource::Next::kRecord:
        if (record.number == number) {
          RETURN_IF_ERROR(take_row(job, record, scratch, row));
          return OwnedRow(row);
        }
        break;
      case ListSource::Next::kMore:
        RETURN_IF_ERROR(run_task(loop, [&list] { return list.fill(); }));
        break;
      case ListSource::Next::kEnd:
        return invalid(job.spec.list.file + " has no " + row_words(number) + ": it has " +
                       grouped(list.position().row) + " rows");
      case ListSource::Next::kFailed:
        return list.status();
    }
  }
}

StatusOr<std::optional<SegmentPlace>> find_segment_row(const OpenDirectory& job, uint64_t number) {
  ASSIGN_OR_RETURN(const std::unique_ptr<SegmentFile> file, find_segment(job, number));
  if (!file) return std::optional<SegmentPlace>();
  const SegmentIndex& index = file->index();
  BlockReader reader;
  Row row;
  for (uint32_t block = 0; block < index.block_count(); ++block) {
    RETURN_IF_ERROR(file->open_block(block, reader));
    for (SegmentRow at = reader.position(); reader.next(row); at = reader.position()) {
      if (row.number != number) continue;
      return std::optional<SegmentPlace>(
          SegmentPlace{index.meta().number, at, index.meta().template_hash, OwnedRow(row)});
    }
    RETURN_IF_ERROR(file->in_block(reader.status(), block));
  }
  return left_out(job, number);
}

StatusOr<RowMessage> compose_row(const Job& job, const OwnedRow& owned, WallTime date) {
  const Row row = owned.view();
  MessageBuffer buffer;
  const ComposeResult composed = job.message->compose(row, {.date = date}, buffer);
  if (!composed.ok()) {
    return invalid(row_words(row.number) + " gets no message: " +
                   to_string(composed.refusal.enhanced) + " " + escaped(composed.refusal.text));
  }
  std::string made;
  std::string data;
  data.reserve(buffer.bytes());
  for (const iovec& piece : buffer.pieces()) {
    data.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  return RowMessage{std::string(job.message->envelope_sender(row, made)), std::string(row.address),
                    std::string(row.domain), without_stuffing(data)};
}

std::string without_stuffing(std::string_view data) {
  std::string out;
  out.reserve(data.size());
  while (!data.empty()) {
    if (data.front() == '.') data.remove_prefix(1);
    const size_t feed = data.find("\r\n");
    const size_t line = feed == std::string_view::npos ? data.size() : feed + 2;
    out += data.substr(0, line);
    data.remove_prefix(line);
  }
  return out;
}

std::string message_json(const RowMessage& message, std::string_view job, uint64_t row) {
  nlohmann::ordered_json json;
  if (!job.empty()) json["job"] = std::string(job);
  json["row"] = row;
  json["sender"] = message.sender;
  json["recipient"] = message.recipient;
  json["domain"] = message.domain;
  json["size"] = message.octets.size();
  json["message"] = message.octets;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string envelope_words(const RowMessage& message) {
  return "from <" + escaped(message.sender) + "> to <" + escaped(message.recipient) +
         ">, by the exchangers of " + escaped(message.domain);
}

}  // namespace sluice::tools
