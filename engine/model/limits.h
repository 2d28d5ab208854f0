// Every bound of the engine in one place, with the relations between them.
//
// Limits is a value: the program runs with Limits{}, tests with tiny(), so that every "full" and
// every wrap happens in each test run. What happens at a limit is said beside it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/time.h"

namespace sluice {

struct Limits {
  // Connections of one shard, open or being dialled. At the limit sites wait their turn.
  uint32_t connections_per_shard = 20'000;
  // Kernel operations in flight on one ring: a receive, a send and a cancel per connection, and
  // files. At the limit Io aborts: admission is by connection, so this cannot happen.
  uint32_t operations_per_ring = 65'536;
  // Coroutine frames of one shard, in bytes: 400 for each lane with mail that waits, 1.5 KiB for
  // each connection. At the limit the process aborts (see operations).
  size_t frame_bytes_per_shard = 1UL << 30;
  // Closures waiting in one shard's mailbox. At the limit the poster is told to try again.
  uint32_t mailbox_entries = 1U << 16;

  // A row of a list, all columns together. Longer rows are rejected with their line number.
  size_t row_bytes_max = 256UL << 10;
  uint32_t columns_max = 1'000;
  // A segment is published when one of the three is reached.
  uint32_t segment_rows_max = 1U << 16;
  size_t segment_bytes_max = 8UL << 20;
  Duration segment_age_max = std::chrono::milliseconds(200);
  // Rows of one domain are read from a segment in blocks of about this size.
  size_t block_bytes_target = 16UL << 10;

  // Addresses of one job whose list is being taken that are remembered in memory to find its
  // duplicates, 20 bytes each; beyond it they go to the disk, behind a filter of so many octets at
  // most (and a quarter of it more while a larger one takes its place).
  uint32_t dedupe_entries_max = 1U << 20;
  size_t dedupe_filter_bytes_max = 128UL << 20;

  // Suppression, of all shards together. Entries of small lists, and those appended lately to large
  // ones, that are held in memory; beyond it lists lie on disk, behind a filter of at most so many
  // octets (twice that while another takes its place).
  uint32_t suppress_memory_entries = 1U << 20;
  size_t suppress_filter_bytes_max = 64UL << 20;
  // Entries that are sorted at a time on their way to the disk, and the octets of a list after
  // which its reading can go on later, and for which there is one checksum.
  uint32_t suppress_sort_entries = 1U << 20;
  size_t suppress_piece_bytes = 1UL << 20;

  // Sites of one shard without mail whose lanes are kept, about 2 KiB each: what was learnt of
  // their receivers serves the next mail. Beyond it those that have rested longest are forgotten.
  uint32_t resting_sites_per_shard = 10'000;
  // Sites of one shard that status names, those where most rows wait; the others are told as one.
  uint32_t lanes_told = 500;

  // Domains of one shard being resolved at a time. At the limit further domains wait in their
  // segments' indexes.
  uint32_t resolutions_per_shard = 1'000;
  // (segment, domain) cursors queued at the sites of one shard. At a quarter of it (over all
  // shards) large jobs, at the limit all read no further domain out of segments until some are used
  // up.
  uint32_t cursors_per_shard = 1U << 20;
  // Deferred rows of one shard in memory, 16 bytes each. At the limit due times are rounded up by
  // parking the rows' cursors again (see engine/schedule).
  uint32_t due_rows_per_shard = 32U << 20;
  // Memory for segments' indexes, of all shards together. Beyond it those that were read longest
  // ago are forgotten, and read again when a row of theirs is wanted.
  size_t index_bytes_max = 96UL << 20;

  // Bytes of a rendered message; a longer one is refused for its recipient (5.3.4).
  size_t message_bytes_max = 64UL << 20;
  // Messages on the wire of one connection without a final reply.
  uint32_t in_flight_max = 64;
  // Their octets: no further one is taken beyond.
  size_t in_flight_bytes_max = 1UL << 20;
  // Messages that an exchanger must answer in step before blind flights are thought of.
  uint32_t blind_proof = 100;
  // A reply line, and a whole reply (RFC 5321 §4.5.3.1.5 asks for 512; real ones are longer).
  size_t reply_line_bytes_max = 4'096;
  size_t reply_bytes_max = 64UL << 10;
  // Octets of a reply's text that are kept in the record.
  size_t recorded_reply_bytes_max = 1'024;

  // Verdicts taken but not yet durable, per shard. At the limit no new message is started.
  uint32_t uncommitted_verdicts_max = 1U << 16;
  // A journal file is closed and the next begun at this size.
  size_t journal_file_bytes_max = 64UL << 20;

  // One turn of a shard runs at most this long before it looks at the ring again.
  Duration turn_budget = std::chrono::microseconds(500);

  static constexpr Limits tiny() {
    Limits l;
    l.connections_per_shard = 8;
    l.operations_per_ring = 64;
    l.frame_bytes_per_shard = 1UL << 20;
    l.mailbox_entries = 16;
    l.row_bytes_max = 4'096;
    l.blind_proof = 3;
    l.columns_max = 16;
    l.segment_rows_max = 8;
    l.segment_bytes_max = 512;
    l.block_bytes_target = 128;
    l.dedupe_entries_max = 32;
    l.dedupe_filter_bytes_max = 64;
    l.suppress_memory_entries = 8;
    l.suppress_filter_bytes_max = 64;
    l.suppress_sort_entries = 8;
    l.suppress_piece_bytes = 64;
    l.resting_sites_per_shard = 2;
    l.lanes_told = 4;
    l.resolutions_per_shard = 2;
    l.cursors_per_shard = 16;
    l.due_rows_per_shard = 64;
    l.index_bytes_max = 2'048;
    l.uncommitted_verdicts_max = 16;
    l.journal_file_bytes_max = 1'024;
    return l;
  }
};

static_assert(Limits{}.operations_per_ring >= 3 * Limits{}.connections_per_shard);
static_assert(Limits{}.segment_rows_max <= 1U << 20, "a due row packs its number into 20 bits");
static_assert(Limits{}.block_bytes_target <= Limits{}.segment_bytes_max);
static_assert(Limits::tiny().operations_per_ring >= 3 * Limits::tiny().connections_per_shard);

}  // namespace sluice
