#include "tests/sim/ledger.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/record/event.h"
#include "engine/record/format.h"
#include "engine/spool/job_directory.h"
#include "engine/spool/segment_reader.h"

namespace sluice::sim {
namespace {

using Addresses = std::map<RowKey, std::string>;

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
  out.first_at = entry.first_at;
  out.next_at = entry.next_at;
  out.command = entry.command;
  out.source = entry.source;
  out.peer = entry.peer.ip;
  out.session = entry.session;
  return out;
}

// The value behind "name": of a line of JSON, up to the next quote, comma or brace.
std::string_view value_in(std::string_view line, std::string_view name) {
  const std::string key = "\"" + std::string(name) + "\":";
  const size_t at = line.find(key);
  if (at == std::string_view::npos) return {};
  line.remove_prefix(at + key.size());
  if (line.starts_with('"')) line.remove_prefix(1);
  return line.substr(0, line.find_first_of("\",}"));
}

std::string key_of(std::string_view recipient, std::string_view attempts, std::string_view type) {
  return std::string(recipient) + " " + std::string(attempts) + " " + std::string(type);
}

}  // namespace

void read_addresses(const Disk& disk, const std::string& spool, Addresses& out) {
  const SpoolPaths paths(spool);
  read_jobs(disk, paths.active, out);
  read_jobs(disk, paths.done, out);
}

JournalReader::JournalReader(const std::string& name) : parser_(name) {
  if (const auto file = parse_journal_file_name(name)) shard_ = file->shard;
}

std::optional<JournalReader::Verdicts> JournalReader::read(std::string_view octets, bool is_whole) {
  CHECK(octets.size() >= fed_);
  parser_.feed(octets.substr(fed_));
  fed_ = octets.size();
  if (is_whole) parser_.end();
  Verdicts out;
  JournalEntry entry;
  JournalParser::Step step = parser_.next(entry);
  for (; step == JournalParser::Step::kEntry; step = parser_.next(entry)) {
    if (entry.kind != JournalEntry::Kind::kVerdict) continue;
    out.emplace_back(RowKey{std::string(entry.job), entry.segment, entry.row}, ledger_entry(entry));
    out.back().second.shard = shard_;
  }
  if (step == JournalParser::Step::kCorrupt) return std::nullopt;
  return out;
}

Ledger read_ledger(const Disk& disk, const std::string& spool) {
  const SpoolPaths paths(spool);
  Addresses addresses;
  read_addresses(disk, spool, addresses);
  Ledger ledger;
  ledger.rows_in_segments = static_cast<uint32_t>(addresses.size());
  const NodePtr journal = disk.find(paths.journal);
  if (!journal) return ledger;
  for (const auto& [name, file] : journal->names) {
    if (!parse_journal_file_name(name)) continue;
    auto entries_of_file = JournalReader(name).read(file->octets, true);
    CHECK(entries_of_file.has_value());
    for (auto& [key, entry] : *entries_of_file) {
      const auto address = addresses.find(key);
      CHECK(address != addresses.end());
      entry.recipient = address->second;
      ledger.rows[key].push_back(std::move(entry));
    }
  }
  for (const auto& [key, entries] : ledger.rows) {
    uint32_t finals = 0;
    for (const LedgerEntry& entry : entries) finals += is_final(entry.state) ? 1U : 0U;
    if (finals > 1) ++ledger.final_twice;
  }
  return ledger;
}

std::string event_key(const LedgerEntry& entry) {
  return key_of(entry.recipient, std::to_string(entry.attempts), event_type(entry.state));
}

std::set<std::string> events_in(std::string_view lines) {
  std::set<std::string> out;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    out.insert(key_of(value_in(line, "recipient"), value_in(line, "num_attempts"),
                      value_in(line, "type")));
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return out;
}

std::vector<LedgerEntry> Ledger::of(const std::string& recipient) const {
  for (const auto& [key, entries] : rows) {
    if (entries.front().recipient == recipient) return entries;
  }
  return {};
}

}  // namespace sluice::sim
