// The message of one row of a job, for show and dry runs.
//
// Thread: the loop's. Errors carry the exit code of command.h; a row that gets no message is bad
// data, and the message says why.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/model/row.h"
#include "engine/ring/loop.h"
#include "engine/shard/job.h"
#include "engine/spool/list_record.h"

namespace sluice::tools {

class OpenDirectory;

// A row that owns what it is made of.
class OwnedRow {
 public:
  OwnedRow() = default;
  explicit OwnedRow(const Row& row);
  OwnedRow(OwnedRow&&) = default;
  OwnedRow& operator=(OwnedRow&&) = default;
  // Lives as long as this, unmoved.
  Row view() const;
  const std::string& address() const { return address_; }
  std::string domain() const { return address_.substr(domain_at_); }

 private:
  uint64_t number_ = 0;
  std::string address_;
  size_t local_part_bytes_ = 0;
  size_t domain_at_ = 0;
  bool needs_smtputf8_ = false;
  std::vector<std::string> values_;
  std::vector<std::string_view> views_;  // of values_, whose elements stay where they are
};

// Makes `row` of a record, with the checks of intake. Its views live as long as the record and
// `scratch` stay as they are. Invalid: "list.csv:3: row 2 is rejected: why"; `row` then means
// nothing.
Status take_row(const Job& job, const ListRecord& record, std::string& scratch, Row& row);

// Row `number` of a job's list, from 1, read from the list's beginning; its address is parsed as
// intake does. Invalid: no such row, or a row that is refused.
StatusOr<OwnedRow> find_list_row(Loop& loop, const Job& job, uint64_t number);

// Where a row lies in the segments of a job.
struct SegmentPlace {
  SegmentNumber segment = 0;
  SegmentRow row = 0;
  Sha256 template_hash{};
  OwnedRow contents;
};
// Nothing when no segment has come to that row yet. Invalid when it is left out: rejected, with the
// reason, a duplicate or suppressed.
StatusOr<std::optional<SegmentPlace>> find_segment_row(const OpenDirectory& job, uint64_t number);

struct RowMessage {
  std::string sender;  // MAIL FROM; empty: the null sender
  std::string recipient;
  std::string domain;
  std::string octets;  // as the receiver stores it: CRLF line ends, no dot-stuffing
};
StatusOr<RowMessage> compose_row(const Job& job, const OwnedRow& row, WallTime date);

// Takes the dots away that SMTP needs (RFC 5321 §4.5.2).
std::string without_stuffing(std::string_view data);

// `message` as one JSON object on one line, with `row`, and `job` where it is not empty. Octets
// that are not UTF-8 become U+FFFD.
std::string message_json(const RowMessage& message, std::string_view job, uint64_t row);
// "from <bounce@example.com> to <ann@test.example>, by the exchangers of test.example".
std::string envelope_words(const RowMessage& message);

}  // namespace sluice::tools
