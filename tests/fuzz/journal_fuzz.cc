// Octets that claim to be a journal are read as far as they are whole, the same however they come
// in pieces, and what is read can be recovered from; of a damaged file nothing is given that was
// not in it.
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/record/format.h"
#include "engine/record/outcomes.h"
#include "engine/record/parser.h"
#include "engine/record/recovery.h"
#include "tests/fuzz/input.h"

namespace sluice::fuzz {
namespace {

using Step = JournalParser::Step;

// Those who keep something of each row get rows below this only.
constexpr SegmentRow kRowsWatched = 128;

struct Kept {
  std::vector<std::string> entries;  // each as text
  Step end = Step::kMore;
  bool torn = false;
  uint64_t whole_bytes = 0;
  friend bool operator==(const Kept&, const Kept&) = default;
};

std::string text_of(const JournalEntry& e) {
  std::string out = std::to_string(static_cast<int>(e.kind));
  for (const std::string_view text :
       {e.job, e.text, e.command, e.site, e.exchanger, e.source, e.sender}) {
    out += '|';
    out += text;
  }
  for (const int64_t number :
       {int64_t{e.segment}, int64_t{e.row}, static_cast<int64_t>(e.state),
        static_cast<int64_t>(e.scope), static_cast<int64_t>(e.event), int64_t{e.maybe_delivered},
        int64_t{e.dns_stale}, int64_t{e.code}, int64_t{e.attempts}, e.at.time_since_epoch().count(),
        e.first_at.time_since_epoch().count(), e.next_at.time_since_epoch().count(),
        static_cast<int64_t>(e.size), static_cast<int64_t>(e.session)}) {
    out += ' ' + std::to_string(number);
  }
  return out + to_string(e.enhanced) + to_string(e.peer);
}

void check_entry(const JournalEntry& e) {
  CHECK(!e.job.empty());
  if (e.kind == JournalEntry::Kind::kJobEvent) {
    CHECK(static_cast<uint8_t>(e.event) < kJobEvents);
    return;
  }
  CHECK(e.state == State::kDeferred ||
        (is_final(e.state) && static_cast<size_t>(e.state) < kStates));
  CHECK(e.scope <= Scope::kSource);
}

// Entries go to those who live on them.
class Readers {
 public:
  Readers() : recovery_({"a"}), outcomes_("a", 4'096) {}

  void add(const JournalEntry& entry) {
    const bool ours = entry.job == "a" && entry.kind == JournalEntry::Kind::kVerdict;
    const bool possible = !ours || entry.row < kSegmentRowsEnd;
    CHECK(outcomes_.add(entry).ok() == possible);
    CHECK(recovery_.add(entry).ok() == possible);
    if (!possible) return;
    if (ours) ++verdicts_;
  }
  void finish() {
    recovery_.finish();
    const JobRecovery* job = recovery_.job("a");
    CHECK(job != nullptr);
    int64_t rows = 0;
    for (const auto& [number, segment] : job->segments) {
      rows += segment.final_count() + static_cast<int64_t>(segment.deferred().size());
      uint64_t before = 0;
      for (const DeferredRow& row : segment.deferred()) {
        CHECK(!segment.is_final(row.row) && row.row + uint64_t{1} > before);
        before = row.row + uint64_t{1};
        CHECK(outcomes_.find(number, row.row).state ==
              (job->cancelled ? State::kCancelled : State::kDeferred));
      }
      for (SegmentRow row = 0; row < outcomes_.row_end(number); ++row) {
        CHECK(job->cancelled ||
              segment.is_final(row) == is_final(outcomes_.find(number, row).state));
      }
    }
    int64_t counted = 0;
    for (const int64_t count : job->states) {
      CHECK(count >= 0);
      counted += count;
    }
    CHECK(counted == rows && rows + job->final_twice <= verdicts_);
  }

 private:
  Recovery recovery_;
  Outcomes outcomes_;
  int64_t verdicts_ = 0;
};

Kept read(std::string_view file, Cutter cutter) {
  Kept kept;
  JournalParser parser("000-00000001.jnl");
  Readers readers;
  JournalEntry entry;
  const size_t size = file.size();
  do {
    if (file.empty()) {
      parser.end();
    } else {
      parser.feed(cutter.next(file));
    }
    for (;;) {
      kept.end = parser.next(entry);
      if (kept.end != Step::kEntry) break;
      check_entry(entry);
      kept.entries.push_back(text_of(entry));
      if (entry.kind == JournalEntry::Kind::kJobEvent || entry.row < kRowsWatched ||
          entry.row >= kSegmentRowsEnd) {
        readers.add(entry);
      }
    }
  } while (kept.end == Step::kMore);
  CHECK((kept.end == Step::kCorrupt) == !parser.status().ok());
  kept.torn = parser.torn();
  kept.whole_bytes = parser.whole_bytes();
  CHECK(kept.whole_bytes <= size);
  readers.finish();
  return kept;
}

// A file whose frames hold these octets as records.
std::string file_of(Input& input) {
  std::string file = encode(JournalFileHeader{3, 17, from_unix_seconds(1'700'000'000)});
  const uint32_t seed = seed_of(file);
  while (!input.empty()) {
    const std::string_view records = input.field('\xFE');
    if (records.empty()) continue;
    std::string header(kFrameHeaderBytes, '\0');
    put_frame_header(header.data(), records, seed, file.size());
    file.append(header).append(records);
  }
  return file;
}

void check_damaged(std::string file, const Kept& whole, size_t how, uint64_t where, uint8_t mask) {
  if (file.empty()) return;
  const size_t at = where % file.size();
  if (how % 2 == 0) {
    file.resize(at);
  } else {
    file[at] = static_cast<char>(static_cast<uint8_t>(file[at]) ^ (mask | 1U));
  }
  const Kept damaged = read(file, Cutter());
  CHECK(damaged.entries.size() <= whole.entries.size());
  CHECK(std::equal(damaged.entries.begin(), damaged.entries.end(), whole.entries.begin()));
  if (how % 2 == 0) {
    CHECK(damaged.end == Step::kEnd || whole.end == Step::kCorrupt);
  } else {
    CHECK(damaged.torn || damaged.end == Step::kCorrupt);
  }
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::fuzz;
  Input input(data, size);
  const bool as_it_is = input.below(8) == 0;
  const size_t how = input.choice();
  const uint64_t where = input.number();
  const uint8_t mask = input.choice();
  const std::string_view lengths = input.choices(1 + input.below(4));
  const std::string file = as_it_is ? std::string(input.rest()) : file_of(input);
  const Kept whole = read(file, Cutter());
  CHECK(whole == read(file, Cutter(lengths)));
  if (!as_it_is) check_damaged(file, whole, how, where, mask);
  return 0;
}
