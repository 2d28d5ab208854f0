// The part of a lane that gives rows to other shards, or pulls them from the site's own.
#include <algorithm>
#include <vector>

#include "engine/shard/lane.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

// A helper asks for its next range when fewer rows than this wait.
constexpr uint64_t kPullBelow = Spread::kRangeRows / 2;

}  // namespace

uint64_t Lane::rows_to_spread() const {
  if (policy().connection_limit < 2 || is_paced() || !may_send()) return 0;
  if (now() < back_off_.not_before() || open_ == dialling_) return 0;
  return queue_.first_attempts_ready();
}

std::vector<Cursor> Lane::take_range(uint64_t most) {
  std::vector<Cursor> cursors;
  queue_.take_cursors(most, cursors);
  return cursors;
}

void Lane::add_back(const Cursor& cursor) {
  const Job& job = shard_.job(cursor.job);
  queue_.add(cursor, job.spec.send.priority, cursor.domain);
}

void Lane::offer(uint64_t rows) {
  if (offered_ == rows) return;
  offered_ = rows;
  nudge();
}

void Lane::on_pulled(uint64_t left) {
  pulling_ = false;
  offered_ = left;
  nudge();
}

void Lane::pull_more() {
  if (offered_ == 0 || pulling_ || open_ == dialling_) return;
  if (ahead_.ready() + queue_.first_attempts_ready() >= kPullBelow) return;
  pulling_ = shard_.spread().pull(*this);
  // Its mailbox is full: it has enough to do, and will say again what it has.
  if (!pulling_) offered_ = 0;
}

}  // namespace sluice
