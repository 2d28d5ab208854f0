// A job that is under way, and a segment of it: what all shards share.
//
// OWNERSHIP. shared_ptr: whoever still has a row, a cursor or a file of it open.
// THREAD. Everything but the counters is immutable once the job is registered; `progress` has one
// cell a shard, written by that shard; `open_rows` is an atomic.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/digest.h"
#include "engine/compose/message_template.h"
#include "engine/model/configuration.h"
#include "engine/model/job.h"
#include "engine/model/progress.h"
#include "engine/model/row.h"
#include "engine/record/recovery.h"
#include "engine/schedule/shared_limits.h"
#include "engine/spool/segment_reader.h"

namespace sluice {

struct Job {
  explicit Job(uint32_t shards) : progress(shards) {}

  JobIndex index = 0;
  std::string id;
  JobSpec spec;
  std::string directory;  // active/ID
  WallTime created{};     // when it was taken; lifetimes of rows never attempted count from here
  std::vector<std::string> columns;
  uint32_t address_column = 0;
  std::unique_ptr<const MessageTemplate> message;
  std::vector<std::string> message_files;  // in the directory, that it was made from
  Sha256 template_hash{};

  // The sources of its pool: indexes into Configuration::sources with cumulated weights.
  struct Member {
    uint32_t source = 0;
    uint64_t weight_end = 0;
  };
  std::vector<Member> members;
  // [send] rate: of the whole job, over all shards. Null: none.
  std::shared_ptr<ScopeLimits> limits;
  std::shared_ptr<Gcra> rate;

  Progress progress;
  // Rows that are not final and durable yet, plus one while the list is being taken: whoever takes
  // it to zero finishes the job.
  std::atomic<int64_t> open_rows{1};

  // Set once the journal says so. A cancelled job's rows that are not in flight are cancelled where
  // they are met; a paused one's stay where they are.
  std::atomic<bool> cancelled{false};
  std::atomic<bool> paused{false};

  // The source of a block of rows: fixed by job, segment and block, weighted, so that a row keeps
  // its source over all attempts and restarts.
  uint32_t source_of(SegmentNumber segment, uint32_t block) const;
};
using JobPtr = std::shared_ptr<Job>;

// By which a domain is told from others where they take turns.
uint64_t domain_turn(std::string_view domain);

// Its index is on disk: segment_indexes.h.
struct PublishedSegment {
  JobPtr job;
  uint32_t ref = 0;          // its number within this process,
  SegmentNumber number = 0;  // and within its job
  uint32_t rows = 0;
  std::string path;
  // At a restart: what the journal says of its rows.
  std::optional<SegmentRecovery> recovered;

  // Neither final nor deferred: a first attempt is still due.
  bool is_waiting(SegmentRow row) const;
  // Such rows of a block.
  uint32_t waiting_rows(const BlockEntry& block) const;
};
using SegmentPtr = std::shared_ptr<const PublishedSegment>;
using IndexPtr = std::shared_ptr<const SegmentIndex>;

}  // namespace sluice
