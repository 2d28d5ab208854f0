// Small texts that come from outside: numbers with units, times, addresses of hosts, names of files
// and jobs, and the small files of a job. What is read can be written, and is then read as the
// same.
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/net.h"
#include "engine/base/strings.h"
#include "engine/config/quantity.h"
#include "engine/model/limits.h"
#include "engine/record/event_log.h"
#include "engine/record/format.h"
#include "engine/spool/csv_reader.h"
#include "engine/spool/job_directory.h"
#include "engine/spool/job_files.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/list_rows.h"

namespace sluice::fuzz {
namespace {

void check_quantities(std::string_view text) {
  if (const auto duration = parse_duration(text); duration.ok()) {
    CHECK(*duration >= Duration::zero());
    const auto again = parse_duration(duration_to_string(*duration));
    CHECK(again.ok() && *again == *duration);
  }
  if (const auto rate = parse_rate(text); rate.ok()) {
    const auto again = parse_rate(to_string(*rate));
    CHECK(again.ok() && again->amount == rate->amount && again->period == rate->period);
  }
  if (const auto size = parse_size(text); size.ok()) {
    const auto again = parse_size(size_to_string(*size));
    CHECK(again.ok() && *again == *size);
  }
}

void check_addresses(std::string_view text) {
  if (const auto ip = parse_ip(text)) {
    CHECK(parse_ip(to_string(*ip)) == ip);
    (void)is_special_purpose(*ip);
  }
  if (const auto address = parse_socket_address(text, 25)) {
    CHECK(parse_socket_address(to_string(*address)) == address);
  }
  if (const auto network = parse_network(text)) {
    const auto again = parse_network(to_string(*network));
    CHECK(again && again->base == network->base && again->prefix_bits == network->prefix_bits);
    CHECK(network->contains(network->base));
  }
}

void check_names(std::string_view text) {
  if (const auto number = parse_segment_name(text)) CHECK(segment_name(*number) == text);
  if (const auto name = parse_journal_file_name(text)) {
    CHECK(journal_file_name(name->shard, name->number) == text);
  }
  if (const auto name = parse_event_file_name(text)) {
    CHECK(!name->rotated.empty() || event_file_name(name->series) == text);
  }
  if (const auto id = parse_job_id(text)) {
    CHECK(is_job_name(id->name) && is_takeable(text));
    CHECK(make_job_id(text, WallTime{}, 0) == text);
  }
  const std::string clean = clean_job_name(text);
  CHECK(is_job_name(clean) && (!is_job_name(text) || clean == text));
  const std::string made = make_job_id(text, from_unix_seconds(1'700'000'000), text.size());
  CHECK(parse_job_id(made).has_value());
  if (const auto time = parse_utc(text)) {
    const auto whole = std::chrono::floor<std::chrono::milliseconds>(*time);
    CHECK(parse_utc(format_utc(*time)) == WallTime(whole));
  }
}

void check_job_files(std::string_view text) {
  if (const auto progress = parse_progress(text); progress.ok()) {
    const auto again = parse_progress(progress_text(*progress));
    CHECK(again.ok() && *again == *progress);
  }
  if (const auto summary = parse_summary(text); summary.ok()) {
    const auto again = parse_summary(summary_json(*summary));
    CHECK(again.ok() && summary_json(*again) == summary_json(*summary));
  }
}

// rejected.csv is CSV, whatever was rejected.
void check_rejected(std::string_view text) {
  std::string file(kRejectedHeader);
  append_rejected(file, 7, 9, text, "because");
  CsvReader reader("rejected.csv", Limits{});
  const KeptList list = read_list(reader, file, Cutter());
  CHECK(!list.failed && list.rows.size() == 1 && list.rows[0].error.empty());
  CHECK(list.rows[0].values[0] == "7" && list.rows[0].values[3] == "because");
  CHECK(is_ascii(list.rows[0].values[2]));
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::fuzz;
  Input input(data, size);
  const std::string_view text = input.rest();
  check_quantities(text);
  check_addresses(text);
  check_names(text);
  check_job_files(text);
  check_rejected(text);
  return 0;
}
