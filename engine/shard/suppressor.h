// Who must get no mail: the lists of suppress/, kept up with, and asked.
//
// PURPOSE. Reads the lists before the first job goes on, looks every five seconds whether one has
//   changed, and gives every shard the set that is in force (engine/spool/suppression.h). Takes up
//   recipients that bounced for good into suppress/bounced.txt.
// HOW CHANGES COME INTO FORCE. Whole: until all that changed is read, the old set holds. A list
//   that cannot be read keeps its old content, which is said; at the start, when it has none, the
//   start fails.
// BOUNCES. Who follows the journal leaves small files in suppress.index/, each written whole; what
//   is in them is appended to bounced.txt durably, before they are removed. An address that is
//   suppressed already is left out; a crash in between may repeat one.
// THREAD. Shard 0's, but for ask(), look_up() and in_force(), each with its own shard's number.
// LIMITS. Limits::suppress_*. kLookUpsMax rows of a shard are looked up on disk at a time.
// ERRORS. load(): why the start fails. Later ones are log lines, once each.
// BUGS. bounced.txt is appended to where it ended a moment before: who writes to it meanwhile may
//   lose a line. A run that cannot be read holds up the rows that need it until its list has been
//   read anew.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "engine/model/outcome.h"
#include "engine/ring/pause.h"
#include "engine/shard/suppress_file.h"
#include "engine/spool/suppression.h"

namespace sluice {

class Lane;
class Shard;
struct TakenRow;

class Suppressor {
 public:
  static constexpr uint32_t kLookUpsMax = 16;

  explicit Suppressor(Shard& home);
  Suppressor(const Suppressor&) = delete;
  Suppressor& operator=(const Suppressor&) = delete;

  // Makes the directories where missing.
  Status prepare();
  // Reads all lists: before any segment is published.
  Task<Status> load();
  // Keeps up until the shard drains.
  Task<> watch();
  void stop() { pause_.cut(); }

  // --- any shard's thread, with its own number
  SuppressionSetPtr in_force(uint32_t shard) const { return views_[shard].set; }
  SuppressionSet::Answer ask(uint32_t shard, std::string_view address, std::string_view domain);
  // As many rows are looked up as may be at a time: take no further one.
  bool is_busy(uint32_t shard) const { return views_[shard].looking >= kLookUpsMax; }
  // A row that is counted as in flight and for which ask() was not sure: it gets its verdict, or
  // goes back to its lane at once and is known to be clear then.
  void look_up(Shard& shard, Lane& lane, const TakenRow& taken);
  // Runs are damaged or gone: their lists are read anew. May be lost; it is said again then.
  void distrust_runs();

 private:
  struct HashOf {
    size_t operator()(const Hash128& hash) const { return hash.low; }
  };
  struct alignas(64) View {
    SuppressionSetPtr set;
    absl::flat_hash_set<Hash128, HashOf> clear;  // looked up in it, by the address's key
    uint32_t looking = 0;
  };
  struct Row;

  Task<> look_up_row(Shard& shard, std::unique_ptr<Row> row);
  Task<Status> restore_runs();
  Task<Status> scan();
  Task<Status> look_at(const std::string& name);
  void forget(const std::string& name);
  Task<Status> keep_within_memory();
  Task<Status> verify_one();
  Task<Status> publish();
  Task<Status> fill_runs(SuppressionSet::Runs& runs);
  Task<bool> give_to_all(SuppressionSetPtr set);
  Task<Status> collect_bounces();
  Task<Status> append_bounces(std::string lines);
  void tell_once(const std::string& about, const Status& status);

  Shard& home_;
  const SuppressPlace place_;
  FileTasks files_;
  HashRunFiles runs_;
  Pause pause_;
  std::map<std::string, std::unique_ptr<SuppressFile>> lists_;  // by name
  std::map<std::string, std::string> told_;                     // what was said last, by file
  std::vector<std::string> retired_;  // runs to remove when no shard asks them any more
  SuppressionSet::Runs shared_runs_;  // of the set in force
  bool changed_ = true;               // since the set in force was made
  Status unread_;                     // of the last scan: the last list that could not be read
  Instant verify_at_{};
  std::vector<View> views_;  // by shard; each is used on its shard's thread
};

// Of a row that is on a list.
Verdict suppressed_verdict();

// Whether any run of the set holds one of the keys. NotFound: another set has taken its place.
Task<StatusOr<bool>> runs_hold(HashRunFiles& files, SuppressionSetPtr set,
                               SuppressionSet::Keys keys);

}  // namespace sluice
