// What became of each row of one job, for reports: the latest entry of each, compactly.
//
// Fed with the entries of one job, in any order of files; final beats deferred, of two deferred
// ones the one with more attempts holds, then the later; of two final ones the first that was fed.
// Whoever asks joins (segment, row) with the segments to get list numbers and addresses.
//
// Pure; any thread, one at a time. Memory: 56 octets a row up to the highest known one of each
// segment, names kept once, texts as pattern (once) and packed holes, up to text_bytes_max in all.
// At that limit texts of further entries are left out and counted; everything else is kept.
// BUGS: the text of an entry that a later one replaces stays in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

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

class Outcomes {
 public:
  static constexpr size_t kTextBytesDefault = 1UL << 30;
  explicit Outcomes(std::string job_id, size_t text_bytes_max = kTextBytesDefault);

  // Entries of other jobs are skipped. Once the job is cancelled, so are its rows that are not
  // final. Refuses a row that no segment can have.
  Status add(const JournalEntry& entry);

  // The sender has it in flight now: so it is, unless the journal knows its end.
  void mark_in_flight(const RowPlace& row);

  Outcome find(SegmentNumber segment, SegmentRow row) const;
  // Segments of which something is known, ascending, and the rows of one: 0 to row_end() - 1.
  std::vector<SegmentNumber> segments() const;
  SegmentRow row_end(SegmentNumber segment) const;
  uint64_t texts_left_out() const { return texts_left_out_; }

 private:
  struct Kept {
    State state = State::kWaiting;
    bool maybe_delivered = false;
    uint16_t code = 0;
    EnhancedCode enhanced;
    uint32_t attempts = 0;
    uint32_t pattern = 0;  // numbers of interned names, 0: none
    uint32_t exchanger = 0;
    uint32_t source = 0;
    uint32_t site = 0;
    int64_t first_at_ns = 0;
    int64_t last_at_ns = 0;
    uint64_t holes = 0;  // offset in the arena; self-delimiting
  };
  static_assert(sizeof(Kept) <= 64);

  uint32_t intern(std::string_view name);
  void keep_text(std::string_view text, Kept& kept);
  uint64_t store(std::string_view octets);

  const std::string job_id_;
  bool cancelled_ = false;
  const size_t text_bytes_max_;
  std::map<SegmentNumber, std::vector<Kept>> segments_;
  StringMap<uint32_t> numbers_;
  std::deque<std::string> names_;  // by number - 1; stable addresses
  std::vector<std::string> chunks_;
  size_t text_bytes_ = 0;
  uint64_t texts_left_out_ = 0;
  std::string pattern_;
  std::string holes_;
};

}  // namespace sluice
