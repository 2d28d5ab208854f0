#include "engine/record/outcomes.h"

#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/record/format.h"
#include "engine/record/holes.h"

namespace sluice {
namespace {

constexpr size_t kChunkBytes = 1UL << 20;

}  // namespace

Outcomes::Outcomes(std::string job_id, size_t text_bytes_max)
    : job_id_(std::move(job_id)), text_bytes_max_(text_bytes_max) {}

Status Outcomes::add(const JournalEntry& entry) {
  if (entry.job != job_id_) return absl::OkStatus();
  if (entry.kind != JournalEntry::Kind::kVerdict) {
    cancelled_ = cancelled_ || entry.event == JobEvent::kCancelled;
    return absl::OkStatus();
  }
  if (entry.row >= kSegmentRowsEnd) {
    return io_error("journal: segment " + std::to_string(entry.segment) + ": there can be no row " +
                    std::to_string(entry.row) + "; set the journal file aside");
  }
  std::vector<Kept>& rows = segments_[entry.segment];
  if (rows.size() <= entry.row) rows.resize(size_t{entry.row} + 1);
  Kept& kept = rows[entry.row];
  const int64_t at = entry.at.time_since_epoch().count();
  if (is_final(kept.state)) return absl::OkStatus();
  if (kept.state == State::kDeferred && !is_final(entry.state)) {
    if (entry.attempts < kept.attempts) return absl::OkStatus();
    if (entry.attempts == kept.attempts && at < kept.last_at_ns) return absl::OkStatus();
  }
  kept.state = entry.state;
  kept.maybe_delivered = entry.maybe_delivered;
  kept.code = entry.code;
  kept.enhanced = entry.enhanced;
  kept.attempts = entry.attempts;
  kept.first_at_ns = entry.first_at.time_since_epoch().count();
  kept.last_at_ns = at;
  kept.exchanger = intern(entry.exchanger);
  kept.source = intern(entry.source);
  kept.site = intern(entry.site);
  keep_text(entry.text, kept);
  return absl::OkStatus();
}

uint32_t Outcomes::intern(std::string_view name) {
  if (name.empty()) return 0;
  const auto found = numbers_.find(name);
  if (found != numbers_.end()) return found->second;
  if (text_bytes_ + name.size() > text_bytes_max_) {
    ++texts_left_out_;
    return 0;
  }
  text_bytes_ += name.size();
  names_.emplace_back(name);
  const auto number = static_cast<uint32_t>(names_.size());
  numbers_.emplace(std::string_view(names_.back()), number);
  return number;
}

void Outcomes::keep_text(std::string_view text, Kept& kept) {
  pattern_.clear();
  holes_.clear();
  split_holes(text.substr(0, kTextBytesMax), Words::kAddressesAreHoles, pattern_, holes_);
  kept.pattern = 0;
  if (text_bytes_ + holes_.size() > text_bytes_max_) {
    ++texts_left_out_;
    return;
  }
  kept.pattern = intern(pattern_);
  if (kept.pattern != 0 && !holes_.empty()) kept.holes = store(holes_);
}

uint64_t Outcomes::store(std::string_view octets) {
  if (chunks_.empty() || chunks_.back().size() + octets.size() > kChunkBytes) {
    chunks_.emplace_back();
    chunks_.back().reserve(kChunkBytes);
  }
  std::string& chunk = chunks_.back();
  const uint64_t place = (chunks_.size() - 1) * kChunkBytes + chunk.size();
  chunk.append(octets);
  text_bytes_ += octets.size();
  return place;
}

void Outcomes::mark_in_flight(const RowPlace& row) {
  if (row.row >= kSegmentRowsEnd) return;
  std::vector<Kept>& rows = segments_[row.segment];
  if (rows.size() <= row.row) rows.resize(size_t{row.row} + 1);
  if (!is_final(rows[row.row].state)) rows[row.row].state = State::kInFlight;
}

Outcome Outcomes::find(SegmentNumber segment, SegmentRow row) const {
  Outcome outcome;
  if (cancelled_) outcome.state = State::kCancelled;
  const auto found = segments_.find(segment);
  if (found == segments_.end() || row >= found->second.size()) return outcome;
  const Kept& kept = found->second[row];
  if (!cancelled_ || is_final(kept.state) || kept.state == State::kInFlight) {
    outcome.state = kept.state;
  }
  outcome.maybe_delivered = kept.maybe_delivered;
  outcome.code = kept.code;
  outcome.enhanced = kept.enhanced;
  outcome.attempts = kept.attempts;
  outcome.first_at = WallTime(Duration(kept.first_at_ns));
  outcome.last_at = WallTime(Duration(kept.last_at_ns));
  if (kept.exchanger != 0) outcome.exchanger = names_[kept.exchanger - 1];
  if (kept.source != 0) outcome.source = names_[kept.source - 1];
  if (kept.site != 0) outcome.site = names_[kept.site - 1];
  if (kept.pattern != 0) {
    std::string_view holes;
    if (!chunks_.empty()) {
      holes = std::string_view(chunks_[kept.holes / kChunkBytes]).substr(kept.holes % kChunkBytes);
    }
    ByteReader reader(holes);
    CHECK(join_holes(names_[kept.pattern - 1], reader, outcome.text));
  }
  return outcome;
}

std::vector<SegmentNumber> Outcomes::segments() const {
  std::vector<SegmentNumber> numbers;
  numbers.reserve(segments_.size());
  for (const auto& [number, rows] : segments_) numbers.push_back(number);
  return numbers;
}

SegmentRow Outcomes::row_end(SegmentNumber segment) const {
  const auto found = segments_.find(segment);
  return found == segments_.end() ? 0 : static_cast<SegmentRow>(found->second.size());
}

}  // namespace sluice
