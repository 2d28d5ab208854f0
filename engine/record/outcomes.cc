#include "engine/record/outcomes.h"

#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/record/format.h"
#include "engine/record/holes.h"

namespace sluice {
namespace {

constexpr size_t kChunkBytes = 1UL << 20;
constexpr unsigned kHolesLengthBits = 16;
static_assert(2 * kTextBytesMax < 1U << kHolesLengthBits);

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
  if (entry.segment < first_segment_ || entry.segment >= segments_end_) return absl::OkStatus();
  Kept& row = kept({entry.segment, entry.row});
  const State before = shapes_[row.shape].state;
  const int64_t at = entry.at.time_since_epoch().count();
  if (is_final(before)) return absl::OkStatus();
  if (before == State::kDeferred && !is_final(entry.state)) {
    if (entry.attempts < row.attempts) return absl::OkStatus();
    if (entry.attempts == row.attempts && at < row.last_at_ns) return absl::OkStatus();
  }
  Shape shape;
  shape.state = entry.state;
  shape.maybe_delivered = entry.maybe_delivered;
  shape.dns_stale = entry.dns_stale;
  shape.code = entry.code;
  shape.enhanced = entry.enhanced;
  shape.exchanger = intern(entry.exchanger);
  shape.source = intern(entry.source);
  shape.site = intern(entry.site);
  row.attempts = entry.attempts;
  row.first_at_ns = entry.first_at.time_since_epoch().count();
  row.last_at_ns = at;
  row.holes = keep_text(entry.text, shape);
  row.shape = shape_number(shape);
  return absl::OkStatus();
}

void Outcomes::only_segments(SegmentNumber first, SegmentNumber end) {
  first_segment_ = first;
  segments_end_ = end;
}

void Outcomes::expect(SegmentNumber segment, uint32_t rows) { rows_of(segment).reserve(rows); }

std::vector<Outcomes::Kept>& Outcomes::rows_of(SegmentNumber segment) {
  if (last_rows_ == nullptr || last_segment_ != segment) {
    last_rows_ = &segments_[segment];
    last_segment_ = segment;
  }
  return *last_rows_;
}

Outcomes::Kept& Outcomes::kept(const RowPlace& row) {
  std::vector<Kept>& rows = rows_of(row.segment);
  if (rows.size() <= row.row) rows.resize(size_t{row.row} + 1);
  return rows[row.row];
}

const Outcomes::Kept* Outcomes::find_kept(SegmentNumber segment, SegmentRow row) const {
  if (last_rows_ != nullptr && last_segment_ == segment) {
    return row < last_rows_->size() ? &(*last_rows_)[row] : nullptr;
  }
  const auto found = segments_.find(segment);
  if (found == segments_.end() || row >= found->second.size()) return nullptr;
  return &found->second[row];
}

uint32_t Outcomes::shape_number(const Shape& shape) {
  const auto [place, added] =
      shape_numbers_.try_emplace(shape, static_cast<uint32_t>(shapes_.size()));
  if (added) shapes_.push_back(shape);
  return place->second;
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

// Sets the pattern; returns the place of the holes.
uint64_t Outcomes::keep_text(std::string_view text, Shape& shape) {
  pattern_.clear();
  holes_.clear();
  split_holes(text.substr(0, kTextBytesMax), Words::kAddressesAreHoles, pattern_, holes_);
  if (text_bytes_ + holes_.size() > text_bytes_max_) {
    ++texts_left_out_;
    return 0;
  }
  shape.pattern = intern(pattern_);
  return shape.pattern != 0 && !holes_.empty() ? store(holes_) : 0;
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
  return (place << kHolesLengthBits) | octets.size();
}

void Outcomes::mark_in_flight(const RowPlace& row) {
  if (row.row >= kSegmentRowsEnd) return;
  Kept& of_row = kept(row);
  Shape shape = shapes_[of_row.shape];
  if (is_final(shape.state)) return;
  shape.state = State::kInFlight;
  of_row.shape = shape_number(shape);
}

std::string_view Outcomes::holes_of(const Kept& kept) const {
  const size_t length = kept.holes % (1U << kHolesLengthBits);
  if (length == 0) return {};
  const uint64_t place = kept.holes >> kHolesLengthBits;
  return std::string_view(chunks_[place / kChunkBytes]).substr(place % kChunkBytes, length);
}

PackedOutcome Outcomes::find_packed(SegmentNumber segment, SegmentRow row) const {
  PackedOutcome packed;
  if (const Kept* const found = find_kept(segment, row); found != nullptr) {
    const Shape& shape = shapes_[found->shape];
    packed.shape = found->shape;
    packed.state = shape.state;
    packed.maybe_delivered = shape.maybe_delivered;
    packed.dns_stale = shape.dns_stale;
    packed.code = shape.code;
    packed.enhanced = shape.enhanced;
    packed.pattern = name(shape.pattern);
    packed.exchanger = name(shape.exchanger);
    packed.source = name(shape.source);
    packed.site = name(shape.site);
    packed.attempts = found->attempts;
    packed.first_at = WallTime(Duration(found->first_at_ns));
    packed.last_at = WallTime(Duration(found->last_at_ns));
    packed.holes = holes_of(*found);
  }
  const bool open = !is_final(packed.state) && packed.state != State::kInFlight;
  if (cancelled_ && open) packed.state = State::kCancelled;
  return packed;
}

Outcome Outcomes::find(SegmentNumber segment, SegmentRow row) const {
  const PackedOutcome packed = find_packed(segment, row);
  Outcome outcome;
  outcome.state = packed.state;
  outcome.maybe_delivered = packed.maybe_delivered;
  outcome.dns_stale = packed.dns_stale;
  outcome.code = packed.code;
  outcome.enhanced = packed.enhanced;
  outcome.attempts = packed.attempts;
  outcome.first_at = packed.first_at;
  outcome.last_at = packed.last_at;
  outcome.exchanger = packed.exchanger;
  outcome.source = packed.source;
  outcome.site = packed.site;
  ByteReader reader(packed.holes);
  CHECK(join_holes(packed.pattern, reader, outcome.text));
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
