// What became of each row of one job, for reports: the latest entry of each, compactly.
//
// Fed with the entries of one job, in any order of files; final beats deferred, of two deferred
// ones the one with more attempts holds, then the later; of two final ones the first that was fed.
// Whoever asks joins (segment, row) with the segments to get list numbers and addresses.
//
// Of a job that is too large for memory a range of segments at a time is gathered: only_segments(),
// and all entries are fed again for each range.
//
// Pure; any thread, one at a time. Memory: 32 octets a row up to the highest known one of each
// segment (twice that while a segment grows that was not announced), 64 for each combination of
// state, codes, pattern and names, names kept once, texts as pattern (once) and packed holes, up to
// text_bytes_max in all. At that limit texts of further entries are left out and counted;
// everything else is kept.
// BUGS: the text of an entry that a later one replaces stays in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/status.h"
#include "engine/base/strings.h"
#include "engine/model/reply.h"
#include "engine/model/row.h"
#include "engine/model/state.h"
#include "engine/record/entry.h"

namespace sluice {

struct Outcome {
  State state = State::kWaiting;  // kWaiting: the journal does not know the row
  bool maybe_delivered = false;   // of the entry that holds
  bool dns_stale = false;         // same
  uint16_t code = 0;
  EnhancedCode enhanced;
  uint32_t attempts = 0;
  WallTime first_at{};
  WallTime last_at{};
  std::string text;            // a copy
  std::string_view exchanger;  // lives as long as the Outcomes
  std::string_view source;     // same
  std::string_view site;       // same
};

// The same as it is kept: for whoever writes it elsewhere. Views live as long as the Outcomes.
struct PackedOutcome {
  // Equal numbers (of one Outcomes) have all the same but attempts, times and holes.
  uint32_t shape = 0;
  State state = State::kWaiting;
  bool maybe_delivered = false;
  bool dns_stale = false;
  uint16_t code = 0;
  EnhancedCode enhanced;
  std::string_view pattern;  // of the text; join_holes() puts the holes in
  std::string_view exchanger;
  std::string_view source;
  std::string_view site;
  uint32_t attempts = 0;
  WallTime first_at{};
  WallTime last_at{};
  std::string_view holes;
};

class Outcomes {
 public:
  static constexpr size_t kTextBytesDefault = 1UL << 30;
  explicit Outcomes(std::string job_id, size_t text_bytes_max = kTextBytesDefault);

  // From now on entries of other segments than [first, end) are skipped.
  void only_segments(SegmentNumber first, SegmentNumber end);
  // Announces a segment's rows, so that its memory is taken once.
  void expect(SegmentNumber segment, uint32_t rows);

  // Entries of other jobs are skipped. Once the job is cancelled, so are its rows that are not
  // final. Refuses a row that no segment can have.
  Status add(const JournalEntry& entry);

  // As when an entry said that the job was cancelled.
  void cancel() { cancelled_ = true; }
  // The sender has it in flight now: so it is, unless the journal knows its end.
  void mark_in_flight(const RowPlace& row);

  Outcome find(SegmentNumber segment, SegmentRow row) const;
  PackedOutcome find_packed(SegmentNumber segment, SegmentRow row) const;
  // Segments of which something is known, ascending, and the rows of one: 0 to row_end() - 1.
  std::vector<SegmentNumber> segments() const;
  SegmentRow row_end(SegmentNumber segment) const;
  uint64_t texts_left_out() const { return texts_left_out_; }
  bool cancelled() const { return cancelled_; }

 private:
  struct Shape {
    State state = State::kWaiting;
    bool maybe_delivered = false;
    bool dns_stale = false;
    uint16_t code = 0;
    EnhancedCode enhanced;
    uint32_t pattern = 0;  // numbers of interned names, 0: none
    uint32_t exchanger = 0;
    uint32_t source = 0;
    uint32_t site = 0;
    friend bool operator==(const Shape&, const Shape&) = default;
    template <typename H>
    friend H AbslHashValue(H hash, const Shape& s) {
      return H::combine(std::move(hash), s.state, s.maybe_delivered, s.dns_stale, s.code,
                        s.enhanced.klass, s.enhanced.subject, s.enhanced.detail, s.pattern,
                        s.exchanger, s.source, s.site);
    }
  };
  struct Kept {
    uint32_t shape = 0;  // in shapes_; 0: nothing is known
    uint32_t attempts = 0;
    int64_t first_at_ns = 0;
    int64_t last_at_ns = 0;
    uint64_t holes = 0;  // offset in the arena, then 16 bits of length
  };
  static_assert(sizeof(Kept) == 32);

  std::vector<Kept>& rows_of(SegmentNumber segment);
  Kept& kept(const RowPlace& row);
  const Kept* find_kept(SegmentNumber segment, SegmentRow row) const;
  uint32_t shape_number(const Shape& shape);
  uint32_t intern(std::string_view name);
  uint64_t keep_text(std::string_view text, Shape& shape);
  uint64_t store(std::string_view octets);
  std::string_view name(uint32_t number) const {
    return number == 0 ? std::string_view() : std::string_view(names_[number - 1]);
  }
  std::string_view holes_of(const Kept& kept) const;

  const std::string job_id_;
  bool cancelled_ = false;
  const size_t text_bytes_max_;
  SegmentNumber first_segment_ = 0;
  uint64_t segments_end_ = UINT64_MAX;
  std::map<SegmentNumber, std::vector<Kept>> segments_;
  std::vector<Kept>* last_rows_ = nullptr;  // of last_segment_: most entries are of the same
  SegmentNumber last_segment_ = 0;
  std::vector<Shape> shapes_{1};
  absl::flat_hash_map<Shape, uint32_t> shape_numbers_;
  StringMap<uint32_t> numbers_;
  std::deque<std::string> names_;  // by number - 1; stable addresses
  std::vector<std::string> chunks_;
  size_t text_bytes_ = 0;
  uint64_t texts_left_out_ = 0;
  std::string pattern_;
  std::string holes_;
};

}  // namespace sluice
