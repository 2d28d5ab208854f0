// Verdicts into records: the writing half of the format.
//
// Keeps the dictionaries of the file in the making; what is new is defined in the same output,
// before the record that refers to it. Pure; one shard's. Records belong into the file in the order
// in which they were encoded, all of them. Memory: at most 16 MiB, kept; nothing is allocated once
// the dictionaries and scratch buffers have grown. Texts and names are cut (format.h).
// BUGS: a full dictionary forgets what was used least recently of four candidates; a pattern of
//   more than a few thousand replies in turn costs their full length each time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/outcome.h"
#include "engine/model/row.h"
#include "engine/record/entry.h"
#include "engine/record/format.h"

namespace sluice {

class JournalEncoder {
 public:
  JournalEncoder();

  // Empties the dictionaries. `created` as in the file's header.
  void begin_file(WallTime created);
  // Append records to `out`. `job_id` is that of row.job, the same at each call.
  void verdict(std::string& out, std::string_view job_id, const RowId& row, const Verdict& verdict,
               const Attempt& attempt);
  void job_event(std::string& out, std::string_view job_id, JobIndex job, JobEvent event,
                 WallTime at);

 private:
  // Four slots a set; the least recently used of a set makes room.
  class SlotTable {
   public:
    SlotTable(Table table, uint32_t slots);
    void clear();
    // The slot that holds `key`, defined in `out` first when it was not there.
    uint32_t slot_of(std::string_view key, std::string& out);

   private:
    struct Slot {
      uint32_t hash = 0;
      uint32_t used = 0;  // 0: empty; else when it was used last
      std::string key;
    };
    const Table table_;
    uint32_t clock_ = 0;
    std::vector<Slot> slots_;
  };

  uint32_t job_slot(std::string& out, std::string_view job_id, JobIndex job);
  uint32_t path_slot(std::string& out, const Attempt& attempt);
  uint32_t shape_slot(std::string& out, const Verdict& verdict, const Attempt& attempt);
  // Leaves the holes in sender_holes_.
  uint32_t sender_slot(std::string& out, std::string_view sender);
  int64_t time_step(WallTime at);

  std::vector<uint64_t> job_slots_;  // JobIndex + 1 of who holds it, 0: nobody
  SlotTable paths_;
  SlotTable shapes_;
  SlotTable senders_;
  int64_t last_at_us_ = 0;
  std::string key_;      // scratch: a dictionary entry
  std::string pattern_;  // scratch: a text without its holes
  std::string text_holes_;
  std::string sender_holes_;
  std::string last_sender_;                 // most verdicts have the sender of the one before
  uint32_t last_sender_slot_ = UINT32_MAX;  // none in this file
  std::string body_;
};

}  // namespace sluice
