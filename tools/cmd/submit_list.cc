#include "tools/cmd/submit_list.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "engine/base/strings.h"
#include "engine/compose/message_buffer.h"
#include "engine/shard/list_source.h"
#include "tools/cmd/row_message.h"
#include "tools/cmd/run_task.h"

namespace sluice::tools {
namespace {

constexpr std::string_view kHtmlType = "\r\nContent-Type: text/html;";
constexpr std::string_view kHeadersEnd = "\r\n\r\n";
constexpr std::string_view kBoundaryBegins = "\r\n--=_";  // neither encoding has it
constexpr size_t kBoundaryLine = kBoundaryBegins.size() + 32;

size_t quoted_printable_bytes(std::string_view encoded) {
  size_t bytes = 0;
  for (size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] != '=') {
      ++bytes;
      continue;
    }
    if (encoded.substr(i + 1, 2) != "\r\n") ++bytes;
    i += 2;
  }
  return bytes;
}

size_t base64_bytes(std::string_view encoded) {
  const auto is_digit_of_it = [](char c) { return c != '\r' && c != '\n' && c != '='; };
  return static_cast<size_t>(std::count_if(encoded.begin(), encoded.end(), is_digit_of_it)) * 3 / 4;
}

// Rows whose messages exceed a bound: how many, and the largest.
struct Exceeding {
  uint64_t rows = 0;
  uint64_t row = 0;
  uint64_t line = 0;
  uint64_t bytes = 0;

  void add(const ListRecord& record, uint64_t message_bytes) {
    ++rows;
    if (rows > 1 && message_bytes <= bytes) return;
    row = record.number;
    line = record.line;
    bytes = message_bytes;
  }
};

// "25 MiB", "102 KiB", "999 octets".
std::string bytes_words(uint64_t bytes) {
  if (bytes % (1UL << 20) == 0) return grouped(bytes >> 20) + " MiB";
  if (bytes % (1UL << 10) == 0) return grouped(bytes >> 10) + " KiB";
  return grouped(bytes) + " octets";
}

// Where kHtmlType stands in the headers of the message or of a part; npos: nowhere.
size_t find_html_type(std::string_view message) {
  const size_t headers_end = message.find(kHeadersEnd);
  size_t at = message.find(kHtmlType);
  while (at != std::string_view::npos && at > headers_end) {
    if (at >= kBoundaryLine && message.substr(at - kBoundaryLine).starts_with(kBoundaryBegins)) {
      return at;
    }
    at = message.find(kHtmlType, at + 1);
  }
  return at;
}

std::string more_words(uint64_t rows, std::string_view what) {
  if (rows < 2) return {};
  return " (" + grouped(rows) + " " + std::string(what) + ")";
}

class ListCheck {
 public:
  ListCheck(const Job& job, WallTime date, const SizeBounds& bounds)
      : job_(job), date_(date), bounds_(bounds), buffer_(bounds.message) {}

  void take(const ListRecord& record) {
    ++found_.rows;
    const Status taken = take_row(job_, record, scratch_, row_);
    if (!taken.ok()) {
      if (found_.rejected++ == 0) first_rejected_ = message_of(taken);
      return;
    }
    const uint64_t bytes_max = job_.message->size_estimate(row_);
    if (bytes_max > bounds_.large) measure(record);
    if (bytes_max <= found_.largest_bytes_max) return;
    found_.largest_bytes_max = bytes_max;
    found_.largest_row = record.number;
    largest_line_ = record.line;
    largest_ = OwnedRow(row_);
  }

  StatusOr<ListFindings> finish() {
    if (too_large_.rows > 0) {
      return invalid(place(too_large_.line, too_large_.row) + "its message has more than " +
                     grouped(bounds_.message) + " octets, the most that is sent" +
                     more_words(too_large_.rows, "such rows") +
                     "; shorten the values, or take the row out of the list");
    }
    if (found_.rejected > 0) {
      found_.warnings.push_back(first_rejected_ + more_words(found_.rejected, "rows are rejected"));
    }
    if (large_.rows > 0) {
      const std::string bound = bytes_words(bounds_.large);
      found_.warnings.push_back(
          place(large_.line, large_.row) + "its message has " + grouped(large_.bytes) + " octets" +
          more_words(large_.rows, "rows have more than " + bound) + ", and many receivers take " +
          bound + "; attach less, or link to what is large");
    }
    RETURN_IF_ERROR(look_at_html());
    return std::move(found_);
  }

 private:
  std::string place(uint64_t line, uint64_t row) const {
    return job_.spec.list.file + ":" + std::to_string(line) + ": row " + std::to_string(row) + ": ";
  }

  void measure(const ListRecord& record) {
    const ComposeResult composed = job_.message->compose(row_, {.date = date_}, buffer_);
    if (!composed.ok()) {
      if (buffer_.over_limit()) too_large_.add(record, buffer_.bytes());
      return;
    }
    if (buffer_.bytes() > bounds_.large) large_.add(record, buffer_.bytes());
  }

  Status look_at_html() {
    if (found_.largest_row == 0 || job_.spec.message.html.empty()) return {};
    if (found_.largest_bytes_max <= bounds_.html) return {};
    const StatusOr<RowMessage> message = compose_row(job_, largest_, date_);
    if (!message.ok()) return {};  // refused for that recipient alone, which the sender records
    const size_t bytes = html_bytes(message->octets);
    if (bytes <= bounds_.html) return {};
    found_.warnings.push_back(place(largest_line_, found_.largest_row) + "its HTML has " +
                              grouped(bytes) + " octets; Gmail shows the first " +
                              bytes_words(bounds_.html) +
                              " and hides the rest behind a link; shorten it");
    return {};
  }

  const Job& job_;
  const WallTime date_;
  const SizeBounds& bounds_;
  MessageBuffer buffer_;
  std::string scratch_;
  Row row_;
  ListFindings found_;
  std::string first_rejected_;
  uint64_t largest_line_ = 0;
  OwnedRow largest_;
  Exceeding large_;
  Exceeding too_large_;
};

}  // namespace

StatusOr<ListFindings> check_list(Loop& loop, const Job& job, WallTime date,
                                  const SizeBounds& bounds) {
  ListSource list(loop, job.directory + "/" + job.spec.list.file, job.spec.list.file, Limits());
  RETURN_IF_ERROR(list.open());
  ListCheck check(job, date, bounds);
  ListRecord record;
  while (true) {
    switch (list.next(record)) {
      case ListSource::Next::kRecord:
        check.take(record);
        break;
      case ListSource::Next::kMore:
        RETURN_IF_ERROR(run_task(loop, [&list] { return list.fill(); }));
        break;
      case ListSource::Next::kEnd:
        return check.finish();
      case ListSource::Next::kFailed:
        return list.status();
    }
  }
}

size_t html_bytes(std::string_view message) {
  const size_t type = find_html_type(message);
  if (type == std::string_view::npos) return 0;
  const size_t headers_end = message.find(kHeadersEnd, type + kHtmlType.size());
  if (headers_end == std::string_view::npos) return 0;
  const std::string_view headers = message.substr(type, headers_end - type);
  std::string_view body = message.substr(headers_end + kHeadersEnd.size());
  body = body.substr(0, body.find(kBoundaryBegins));
  if (headers.ends_with("quoted-printable")) return quoted_printable_bytes(body);
  return headers.ends_with("base64") ? base64_bytes(body) : body.size();
}

}  // namespace sluice::tools
