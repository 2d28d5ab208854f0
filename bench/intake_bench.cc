// What intake costs a row: octets of a plain CSV list, to records, to addresses, to a segment in
// memory. Budget: 1 microsecond a row of five columns; 2 with deduplication and a million
// suppressed entries. Not measured: reading and writing files, decompression.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/digest.h"
#include "engine/base/random.h"
#include "engine/spool/address.h"
#include "engine/spool/csv_reader.h"
#include "engine/spool/dedupe.h"
#include "engine/spool/segment_reader.h"
#include "engine/spool/segment_writer.h"
#include "engine/spool/suppression.h"

namespace sluice {
namespace {

constexpr size_t kRows = 200'000;
constexpr size_t kPieceBytes = 64UL << 10;

std::string make_list(size_t domains, bool quoted) {
  Random random(42);
  std::string text = "email,first_name,last_name,city,customer_id\n";
  for (size_t i = 0; i < kRows; ++i) {
    text +=
        "user" + std::to_string(i) + "@d" + std::to_string(random.below(domains)) + ".example.com,";
    text += quoted ? "\"Ann, Marie\"," : "Ann Marie,";
    text += "Somebody,Springfield," + std::to_string(random.below(10'000'000)) + "\n";
  }
  return text;
}

// A million suppressed people, one in two hundred of whom stands in the list; every twentieth entry
// is a domain, or, with `digests`, half of the entries are digests.
SuppressionSet make_suppressed(bool digests) {
  constexpr size_t kEntries = 1'000'000;
  SuppressList list;
  SuppressionSet::Sorted sorted;
  for (size_t i = 0; i < kEntries; ++i) {
    std::string line = "someone" + std::to_string(i) + "@d" + std::to_string(i) + ".example.org";
    if (i % 200 == 0) line = "user" + std::to_string(i / 5) + "@d7.example.com";
    if (i % 20 == 1) line = "@d" + std::to_string(i) + ".example.net";
    if (digests && i % 2 == 0) line = to_hex(sha256(line));
    list.feed(line + "\n", sorted.keys);
  }
  std::sort(sorted.keys.begin(), sorted.keys.end(), hash_less);
  const auto filter =
      std::make_shared<HashFilter>(sorted.keys.size(), Limits().suppress_filter_bytes_max);
  for (const Hash128& key : sorted.keys) filter->insert(key);
  sorted.filter = filter;
  return {list.position().kinds, std::move(sorted), {}};
}

struct Intake {
  Limits limits;
  const SuppressionSet* suppressed = nullptr;
  CsvReader reader{"list.csv", limits};
  SegmentBuilder builder{5, 0, limits};
  DedupeSet seen{limits.dedupe_entries_max, SipKey{1, 2}};
  std::string scratch;
  std::string file;
  uint64_t begin_row = 1;
  uint64_t bytes_written = 0;
  uint64_t left_out = 0;

  void publish() {
    SegmentMeta meta;
    meta.job = "bench";
    meta.columns = reader.columns();
    meta.row_begin = begin_row;
    meta.row_end = begin_row = reader.position().row + 1;
    meta.suppressed = left_out;
    meta.duplicate = meta.row_end - meta.row_begin - builder.rows() - left_out;
    left_out = 0;
    builder.finish(meta, file);
    bytes_written += file.size();
  }

  void take(const ListRecord& record, bool dedupe) {
    const AddressResult address = parse_address(record.values[0], scratch);
    if (!address.ok()) return;
    if (suppressed != nullptr && is_suppressed(address.address)) {
      ++left_out;
      return;
    }
    if (dedupe && !seen.insert(address.address.address)) return;
    Row row;
    row.number = record.number;
    row.address = address.address.address;
    row.local_part = address.address.local_part;
    row.domain = address.address.domain;
    row.values = record.values;
    builder.add(row);
    if (builder.full(limits)) publish();
  }

  bool is_suppressed(const Address& address) const {
    SuppressionSet::Keys unsure;
    return suppressed->ask(suppressed->keys_of(address.address, address.domain), unsure) ==
           SuppressionSet::Answer::kSuppressed;
  }

  void run(const std::string& list, bool dedupe) {
    size_t at = 0;
    ListRecord record;
    while (true) {
      const CsvReader::Result result = reader.next(record);
      if (result == CsvReader::Result::kRecord) {
        take(record, dedupe);
      } else if (result == CsvReader::Result::kNeedMore && at < list.size()) {
        reader.feed(std::string_view(list).substr(at, kPieceBytes));
        at += kPieceBytes;
      } else if (result == CsvReader::Result::kNeedMore) {
        reader.finish();
      } else {
        break;
      }
    }
    publish();
  }
};

void report(benchmark::State& state) {
  const auto rows = static_cast<double>(state.iterations()) * kRows;
  state.SetItemsProcessed(static_cast<int64_t>(rows));
  state.counters["per_row"] =
      benchmark::Counter(rows, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// Arguments: domains in the list, quoted fields, dedupe.
void list_to_segments(benchmark::State& state) {
  const std::string list = make_list(static_cast<size_t>(state.range(0)), state.range(1) != 0);
  for (auto _ : state) {
    Intake intake;
    intake.run(list, state.range(2) != 0);
    benchmark::DoNotOptimize(intake.bytes_written);
  }
  report(state);
}
BENCHMARK(list_to_segments)
    ->ArgNames({"domains", "quoted", "dedupe"})
    ->Args({1'000, 0, 0})
    ->Args({1'000, 1, 0})
    ->Args({1'000, 0, 1})
    ->Args({200'000, 0, 0})
    ->Unit(benchmark::kMillisecond);

// Arguments: domains in the list, digests among the suppressed. With deduplication.
void list_less_suppressed(benchmark::State& state) {
  const std::string list = make_list(static_cast<size_t>(state.range(0)), false);
  const SuppressionSet suppressed = make_suppressed(state.range(1) != 0);
  for (auto _ : state) {
    Intake intake;
    intake.suppressed = &suppressed;
    intake.run(list, true);
    benchmark::DoNotOptimize(intake.bytes_written);
  }
  report(state);
}
BENCHMARK(list_less_suppressed)
    ->ArgNames({"domains", "digests"})
    ->Args({1'000, 0})
    ->Args({1'000, 1})
    ->Args({100'000, 0})
    ->Unit(benchmark::kMillisecond);

void records_only(benchmark::State& state) {
  const std::string list = make_list(1'000, false);
  for (auto _ : state) {
    CsvReader reader("list.csv", Limits());
    reader.feed(list);
    reader.finish();
    ListRecord record;
    uint64_t octets = 0;
    while (reader.next(record) == CsvReader::Result::kRecord) octets += record.values[4].size();
    benchmark::DoNotOptimize(octets);
  }
  report(state);
}
BENCHMARK(records_only)->Unit(benchmark::kMillisecond);

void addresses_only(benchmark::State& state) {
  std::string scratch;
  const std::string in = "somebody.else+tag@mail.example.com";
  for (auto _ : state) benchmark::DoNotOptimize(parse_address(in, scratch).ok());
}
BENCHMARK(addresses_only);

void segment_to_rows(benchmark::State& state) {
  SegmentBuilder builder(5, 0, Limits());
  const std::string_view values[] = {"", "Ann Marie", "Somebody", "Springfield", "1234567"};
  constexpr uint64_t kSegmentRows = 60'000;
  SegmentMeta meta;
  meta.columns = {"email", "first_name", "last_name", "city", "customer_id"};
  meta.row_end = 1 + kSegmentRows;
  for (uint64_t i = 0; i < kSegmentRows; ++i) {
    const std::string local = "user" + std::to_string(i);
    const std::string domain = "d" + std::to_string(i % 1'000) + ".example.com";
    const std::string address = local + "@" + domain;
    std::string_view row_values[] = {address, values[1], values[2], values[3], values[4]};
    builder.add({i + 1, address, local, domain, false, row_values});
  }
  std::string file;
  builder.finish(meta, file);
  const std::string_view octets = file;
  const auto trailer =
      parse_segment_trailer(octets.substr(octets.size() - kSegmentTrailerBytes), octets.size());
  const auto index =
      SegmentIndex::parse(octets.substr(trailer->index_offset, trailer->index_bytes), *trailer);
  BlockReader reader;
  for (auto _ : state) {
    uint64_t sum = 0;
    for (uint32_t b = 0; b < index->block_count(); ++b) {
      const BlockEntry entry = index->block(b);
      if (!reader.open(*index, b, octets.substr(entry.offset, entry.bytes)).ok()) std::abort();
      Row row;
      while (reader.next(row)) sum += row.number + row.values[4].size();
    }
    benchmark::DoNotOptimize(sum);
  }
  const auto rows = static_cast<double>(state.iterations()) * kSegmentRows;
  state.counters["per_row"] =
      benchmark::Counter(rows, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(segment_to_rows)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sluice
