// Rows of a lane that are read ahead of need, and which of them goes next.
//
// PURPOSE. Takes blocks out of the lane's queue, reads them from their segments, several at a time,
//   and hands out their rows one by one.
// FAIRNESS. Row by row: of the jobs of the highest priority the one that was served longest ago,
//   and within it block by block in turn. Each job that has rows to send has a block here, however
//   many rows of others are in memory, and so have up to kDomainsAJob of its domains: a small job,
//   or a small domain, does not wait for the block of a large one.
// OWNERSHIP. The lane's. Octets of a block live until its rows are used up.
// THREAD. The shard's.
// LIMITS. At most kBlocksMax blocks are held and kReadsAtOnce read at a time; kRowsReady rows are
//   read ahead, and beyond that only what fairness asks for.
// ERRORS. Rows that cannot be read stay open in the counts and are never sent: only the operator
//   may decide.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/ring/operation.h"
#include "engine/ring/signal.h"
#include "engine/ring/task.h"
#include "engine/schedule/site_queue.h"
#include "engine/shard/job.h"
#include "engine/shard/open_segment.h"
#include "engine/spool/segment_reader.h"

namespace sluice {

class Shard;

// A row that was handed to a connection. The views of `row` live until the lane's next call.
struct TakenRow {
  OpenSegment* segment = nullptr;
  SegmentRow number = 0;
  uint32_t attempts = 0;  // made before this one
  WallTime first_at{};    // of the first attempt; zero when this is it
  Row row;
};

class ReadAhead {
 public:
  static constexpr size_t kBlocksMax = 64;
  static constexpr size_t kReadsAtOnce = 16;
  static constexpr uint64_t kRowsReady = 128;
  // So many blocks of a job are held for the sake of other domains' turns.
  static constexpr size_t kDomainsAJob = 4;

  // `changed` is called when the lane should look again. Both outlive this.
  ReadAhead(Shard& shard, SiteQueue& queue, std::function<void()> changed);
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;
  ~ReadAhead();

  // Reads until `enough` rows are ready and each job has a block, as far as there is mail.
  Task<> load(uint64_t enough);
  // Reading was put off to this moment: no descriptor was left.
  Instant read_again_at() const { return read_again_at_; }

  // The job whose row goes next; null when none is ready. `again`, when it is not null and nothing
  // of a higher priority is ready: several of its rows go as one.
  const Job* next_job(const Job* again = nullptr) const;
  // A row of that job; nothing when none is here or the rest of it cannot be read.
  std::optional<TakenRow> take(const Job& job);
  // A row whose lifetime is over at `now`.
  std::optional<TakenRow> take_expired(WallTime now);

  // The job's rows are passed by until resume(). Idempotent.
  void set_aside(JobIndex job);
  void resume(JobIndex job);
  // Takes the job's rows out; `gone` is told how many, and as what they are counted.
  void cancel(JobIndex job, const std::function<void(OpenSegment&, State, uint64_t)>& gone);
  // Puts what was not used back into the queue: rows wait on disk while nobody can take them.
  void unload();

  // Rows that may be taken now; those set aside are not among them.
  uint64_t ready() const { return ready_; }
  // All of them.
  uint64_t rows() const { return rows_; }
  uint64_t rows_of(JobIndex job) const;
  bool is_reading() const { return !reading_.empty(); }
  void visit_jobs(const std::function<void(JobIndex, uint64_t rows)>& visit) const {
    for (const Loaded& loaded : loaded_) visit(loaded.job, loaded.rows);
  }
  void fetch_counts() const { __builtin_prefetch(&rows_); }
  // Too few are ready, or a job has none left here: load() would find work.
  bool is_low() const { return is_low_ || ready_ < kRowsReady / 2; }

 private:
  // A block on its way from the disk, or its rows being handed out.
  struct Block {
    explicit Block(Signal& done) : read(done) {}
    Pick pick;
    OpenSegment* segment = nullptr;
    IndexPtr index;  // until it is open
    uint32_t block = 0;
    uint64_t domain = 0;  // domain_turn() of its name; of a due row 0 until it is open
    std::string octets;
    Operation read;
    BlockReader reader;
    uint64_t rows_left = 0;

    const Job& job() const { return *segment->segment->job; }
    State counted_as() const;
  };
  // The blocks of one job.
  struct Loaded {
    JobIndex job = 0;
    uint8_t priority = 0;
    bool aside = false;
    uint64_t served = 0;  // the turn in which it last gave a row
    uint64_t rows = 0;
    size_t next = 0;  // of `blocks`
    std::vector<std::unique_ptr<Block>> blocks;
  };

  Loaded* find(JobIndex job);
  const Loaded* find(JobIndex job) const;
  Loaded& find_or_make(const Job& job);
  void forget_empty(JobIndex job);
  bool wants_a_block(JobIndex job) const;
  void pick_blocks(uint64_t enough);
  Task<> read_blocks();
  bool start_read(Block& block);
  void put_back(Block& block);
  void end_reads();
  Status open(Block& block);
  void keep(std::unique_ptr<Block> block);
  std::optional<TakenRow> take_from(Loaded& loaded, size_t index);
  void drop_unreadable(Block& block, const Status& why);
  std::unique_ptr<Block> spare_block();

  Shard& shard_;
  SiteQueue& queue_;
  std::function<void()> changed_;
  std::vector<Loaded> loaded_;  // of each job that has rows here or is set aside
  std::vector<std::unique_ptr<Block>> reading_;
  std::vector<std::unique_ptr<Block>> spare_;
  size_t blocks_ = 0;
  uint64_t rows_ = 0;
  uint64_t ready_ = 0;
  uint64_t turn_ = 0;
  bool is_low_ = false;
  Instant read_again_at_{};
  Signal read_done_;
};

}  // namespace sluice
