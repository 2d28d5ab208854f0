#include "tests/sim/ledger.h"

#include "engine/base/check.h"
#include "engine/record/format.h"
#include "engine/record/parser.h"
#include "engine/spool/job_directory.h"
#include "engine/spool/segment_reader.h"

namespace sluice::sim {
namespace {

using Key = std::tuple<std::string, uint32_t, uint32_t>;
using Addresses = std::map<Key, std::string>;

void read_segment(const std::string& octets, const std::string& job, Addresses& out) {
  const std::string_view view = octets;
  CHECK(view.size() >= kSegmentTrailerBytes);
  const StatusOr<SegmentTrailer> trailer =
      parse_segment_trailer(view.substr(view.size() - kSegmentTrailerBytes), view.size());
  CHECK(trailer.ok());
  const StatusOr<SegmentIndex> index =
      SegmentIndex::parse(view.substr(trailer->index_offset, trailer->index_bytes), *trailer);
  CHECK(index.ok());
  for (uint32_t block = 0; block < index->block_count(); ++block) {
    const BlockEntry entry = index->block(block);
    BlockReader reader;
    CHECK(reader.open(*index, block, view.substr(entry.offset, entry.bytes)).ok());
    Row row;
    for (SegmentRow number = reader.position(); reader.next(row); number = reader.position()) {
      out[{job, index->meta().number, number}] = std::string(row.address);
    }
    CHECK(reader.status().ok());
  }
}

void read_jobs(const Disk& disk, const std::string& directory, Addresses& out) {
  const NodePtr jobs = disk.find(directory);
  if (!jobs) return;
  for (const auto& [job, node] : jobs->names) {
    const auto segments = node->names.find("segments");
    if (segments == node->names.end()) continue;
    for (const auto& [name, file] : segments->second->names) {
      if (parse_segment_name(name)) read_segment(file->octets, job, out);
    }
  }
}

LedgerEntry ledger_entry(const JournalEntry& entry) {
  LedgerEntry out;
  out.state = entry.state;
  out.code = entry.code;
  out.enhanced = entry.enhanced;
  out.text = entry.text;
  out.attempts = entry.attempts;
  out.maybe_delivered = entry.maybe_delivered;
  out.at = entry.at;
  out.next_at = entry.next_at;
  return out;
}

}  // namespace

Ledger read_ledger(const Disk& disk, const std::string& spool) {
  const SpoolPaths paths(spool);
  Addresses addresses;
  read_jobs(disk, paths.active, addresses);
  read_jobs(disk, paths.done, addresses);
  Ledger ledger;
  ledger.rows_in_segments = static_cast<uint32_t>(addresses.size());
  const NodePtr journal = disk.find(paths.journal);
  if (!journal) return ledger;
  for (const auto& [name, file] : journal->names) {
    if (!parse_journal_file_name(name)) continue;
    JournalParser parser(name);
    parser.feed(file->octets);
    parser.end();
    JournalEntry entry;
    JournalParser::Step step = parser.next(entry);
    for (; step == JournalParser::Step::kEntry; step = parser.next(entry)) {
      if (entry.kind != JournalEntry::Kind::kVerdict) continue;
      const Key key{std::string(entry.job), entry.segment, entry.row};
      LedgerEntry line = ledger_entry(entry);
      const auto address = addresses.find(key);
      CHECK(address != addresses.end());
      line.recipient = address->second;
      ledger.rows[key].push_back(std::move(line));
    }
    CHECK(step == JournalParser::Step::kEnd);
  }
  for (const auto& [key, entries] : ledger.rows) {
    uint32_t finals = 0;
    for (const LedgerEntry& entry : entries) finals += is_final(entry.state) ? 1U : 0U;
    if (finals > 1) ++ledger.final_twice;
  }
  return ledger;
}

std::vector<LedgerEntry> Ledger::of(const std::string& recipient) const {
  for (const auto& [key, entries] : rows) {
    if (entries.front().recipient == recipient) return entries;
  }
  return {};
}

}  // namespace sluice::sim
