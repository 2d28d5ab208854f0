#include "engine/shard/shard.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/base/log.h"
#include "engine/record/format.h"
#include "engine/shard/intake.h"

namespace sluice {
namespace {

constexpr Duration kLastEvents = std::chrono::seconds(1);
constexpr size_t kSpareBuffersMax = 256;

JournalOptions journal_options(const Peers& peers, uint32_t number) {
  JournalOptions options;
  options.directory = peers.spool.journal;
  options.shard = number;
  options.commit_interval = peers.config.record.commit_interval;
  options.file_bytes_max = peers.limits.journal_file_bytes_max;
  options.uncommitted_max = peers.limits.uncommitted_verdicts_max;
  return options;
}

uint32_t share_of_connections(const Peers& peers) {
  const uint32_t share = std::max(peers.config.engine.max_connections / peers.shard_count, 1U);
  return std::min(share, peers.limits.connections_per_shard);
}

ResolverOptions resolver_options(const Peers& peers) {
  ResolverOptions options = resolver_options_of(peers.config);
  options.sts_store = peers.sts_store;
  options.web = peers.web;
  return options;
}

bool is_signing([[maybe_unused]] const Configuration& config) {
#ifdef SLUICE_SIGNATURE_MICROSECONDS
  return true;
#else
  return !config.dkim.empty();
#endif
}

}  // namespace

Shard::Shard(Peers& peers, Loop& loop, Lookup& lookup, TlsFactory& tls,
             resolver_cache::Cache& cache, uint32_t number)
    : peers_(peers),
      number_(number),
      loop_(loop),
      tls_(tls),
      resolver_(loop, lookup, cache, resolver_options(peers)),
      recorder_(*this),
      journal_(loop, journal_options(peers, number), recorder_),
      placement_(*this),
      turns_(*this),
      signing_queue_(is_signing(peers.config)),
      spread_(*this),
      rules_(loop, resolver_, peers.config.shaping,
             [this](std::string_view site) { apply_rules(site); }),
      retry_(peers.config.retry),
      indexes_(loop, peers.limits.index_bytes_max / peers.shard_count),
      connections_(share_of_connections(peers)),
      drain_pause_(loop) {
  peers_.shards[number] = this;
  loop_.observe_waits(this);
}

Shard::~Shard() { loop_.observe_waits(nullptr); }

Task<Status> Shard::start() {
  Status opened = co_await journal_.open();
  if (!opened.ok()) {
    Task<> closing = resolver_.close();
    co_await std::move(closing);
    co_return opened;
  }
  stories_.spawn(journal_.run());
  services_.spawn(placement_.watch_parked());
  services_.spawn(turns_.watch());
  services_.spawn(signing_queue_.run());
  services_.spawn(rules_.run());
  start_followers();
  co_return opened;
}

// One for this shard's journal, and one for each series that was left by a run with more shards.
void Shard::start_followers() {
  std::vector<uint32_t> series = {number_};
  if (const StatusOr<std::vector<std::string>> names = io().list(peers_.spool.journal);
      names.ok()) {
    for (const std::string& name : *names) {
      const auto file = parse_journal_file_name(name);
      if (!file || file->shard < peers_.shard_count) continue;
      if (file->shard % peers_.shard_count != number_) continue;
      if (series.back() != file->shard) series.push_back(file->shard);
    }
  }
  for (const uint32_t one : series) {
    followers_.push_back(std::make_unique<EventFollower>(
        loop_, config(), peers_.spool, one, one == number_ ? &journal_ : nullptr,
        [peers = &peers_](uint32_t told, uint32_t file) { peers->journal_told(told, file); }));
    followings_.spawn(followers_.back()->run());
  }
}

// --- shaping rules -------------------------------------------------------------------------------

void Shard::reload(ShapingRules shaping, Configuration::Retry retry) {
  if (draining_) return;
  rules_.reload(std::move(shaping), [this, retry] {
    retry_ = retry;
    ++rules_in_force_;
  });
}

Shaped Shard::shaped(const Site& site, uint32_t source) const {
  return rules_.shape(site.name, site.domain, *site.route, config().sources[source].name);
}

void Shard::apply_rules(std::string_view site) {
  for_each_lane([&](Lane& lane) {
    if (site.empty() || site == lane.site().name) {
      lane.set_shaped(shaped(lane.site(), lane.source()));
    }
  });
}

RoutePtr Shard::placed(std::string_view domain, RoutePtr route) const {
  if (!route->usable() || !rules_.is_own_site(domain)) return route;
  auto own = std::make_shared<Route>(*route);
  own->site = domain;
  return own;
}

// --- from other shards ---------------------------------------------------------------------------

void Shard::register_job(const JobPtr& job) {
  if (jobs_.size() <= job->index) jobs_.resize(job->index + 1);
  jobs_[job->index] = job;
  journal_.register_job(job->index, job->id);
}

void Shard::forget_job(JobIndex job) {
  for_each_lane([job](Lane& lane) { lane.forget_job(job); });
  turns_.forget_job(job);
  jobs_[job] = nullptr;
}

void Shard::publish(const SegmentPtr& segment, const IndexPtr& index) {
  if (!draining_) placement_.add(segment, index);
}

void Shard::receive_domain(const SegmentPtr& segment, const IndexPtr& index, uint32_t domain,
                           const RoutePtr& route, bool deferred) {
  if (draining_) return;
  const Job& job = *segment->job;
  if (job.cancelled) {
    cancel_domain(segment, *index, domain, deferred);
    return;
  }
  SiteEntry& entry = site_of(route, index->domain(domain));
  const LaneTerms terms =
      terms_of(job.spec.tls, index->domain(domain), *route, !config().tls.report_from.empty());
  OpenSegment& open = open_segment(segment);
  hold(open, 1);
  indexes_.add(open, index);
  const uint64_t turn = domain_turn(index->domain(domain));
  const SegmentIndex::BlockRange range = index->blocks_of(domain);
  for (uint32_t block = range.first; block < range.last; ++block) {
    const uint32_t rows = segment->waiting_rows(index->block(block));
    if (rows == 0) continue;
    if (deferred) open.deferred_blocks.insert(block);
    hold(open, rows);
    peers_.cursors[number_].value.fetch_add(1, std::memory_order_relaxed);
    lane_of(entry, job.source_of(segment->number, block), terms)
        .add({.segment_ref = segment->ref, .block = block, .job = job.index, .rows = rows},
             job.spec.send.priority, turn);
  }
  if (segment->recovered) add_recovered(entry, open, *index, domain, terms);
  release(open);
}

void Shard::receive_rows(Lane& lane, const GivenRows& given) {
  const Job& job = *given.segment->job;
  OpenSegment& open = open_segment(given.segment);
  hold(open, given.rows);
  if (job.cancelled) {
    cancel_rows(open, given.deferred ? State::kDeferred : State::kWaiting, given.rows);
    return;
  }
  if (given.deferred) open.deferred_blocks.insert(given.block);
  peers_.cursors[number_].value.fetch_add(1, std::memory_order_relaxed);
  lane.add({.segment_ref = given.segment->ref,
            .block = given.block,
            .job = job.index,
            .rows = given.rows},
           job.spec.send.priority, given.domain);
}

// Rows that were deferred before a restart fall due when they would have.
void Shard::add_recovered(SiteEntry& entry, OpenSegment& open, const SegmentIndex& index,
                          uint32_t domain, const LaneTerms& terms) {
  const PublishedSegment& segment = *open.segment;
  const SegmentRow first = index.first_row_of(domain);
  const SegmentRow last = index.last_row_of(domain);
  const std::vector<DeferredRow>& deferred = segment.recovered->deferred();
  auto at = std::lower_bound(deferred.begin(), deferred.end(), first,
                             [](const DeferredRow& d, SegmentRow r) { return d.row < r; });
  for (; at != deferred.end() && at->row < last; ++at) {
    const DeferredRow& row = *at;
    hold(open, 1);
    const Instant due = now() + (row.next_at - wall_now());
    const uint32_t block = index.find_row(row.row);
    lane_of(entry, segment.job->source_of(segment.number, block), terms)
        .add_due(DueRow::make(segment.ref, row.row, row.attempts, peers_.clock.tick_for(due),
                              static_cast<uint32_t>(unix_seconds(row.first_at))),
                 segment.job->index, segment.job->spec.send.priority);
  }
}

// --- what the operator says ----------------------------------------------------------------------

void Shard::apply_job_flags(JobIndex index) {
  if (find_job(index) == nullptr) return;
  const Job& flags = job(index);
  for (SiteEntry* entry : site_list_) {
    for (const auto& lane : entry->lanes) {
      if (!lane) continue;
      if (flags.cancelled) {
        lane->cancel_job(index);
      } else if (flags.paused) {
        lane->pause_job(index);
      } else {
        lane->resume_job(index);
      }
    }
  }
  if (flags.cancelled) placement_.wake_parked();
}

void Shard::pause_site(std::string_view site, bool paused) {
  std::erase(paused_sites_, site);
  if (paused) paused_sites_.emplace_back(site);
  const auto found = sites_.find(site);
  if (found == sites_.end()) return;
  found->second->site.paused = paused;
  for (const auto& lane : found->second->lanes) {
    if (lane) lane->nudge();
  }
}

void Shard::cancel_rows(OpenSegment& segment, State from, int64_t count) {
  if (count == 0) return;
  const JobPtr owner = segment.segment->job;
  owner->progress.move(number_, from, State::kCancelled, count);
  CHECK(segment.holds >= count);
  segment.holds -= count - 1;
  holds_ -= count - 1;
  release(segment);
  if (owner->open_rows.fetch_sub(count, std::memory_order_acq_rel) == count) {
    peers_.job_ended(owner);
  }
}

void Shard::cancel_domain(const SegmentPtr& segment, const SegmentIndex& index, uint32_t domain,
                          bool deferred) {
  int64_t waiting = 0;
  int64_t retried = 0;
  for (SegmentRow row = index.first_row_of(domain); row < index.last_row_of(domain); ++row) {
    if (segment->recovered && segment->recovered->is_final(row)) continue;
    ++(deferred || !segment->is_waiting(row) ? retried : waiting);
  }
  OpenSegment& open = open_segment(segment);
  hold(open, 1 + waiting + retried);
  cancel_rows(open, State::kWaiting, waiting);
  cancel_rows(open, State::kDeferred, retried);
  release(open);
}

// --- connections ---------------------------------------------------------------------------------

Connection* Shard::make_connection(SlabHandle* handle) {
  *handle = connections_.make(loop_);
  if (handle->generation == 0) {
    connections_wanted_ = true;
    return nullptr;
  }
  return connections_.find(*handle);
}

void Shard::spawn_delivery(Lane& lane, SlabHandle handle) {
  deliveries_.spawn(run_delivery(lane, handle));
}

Task<> Shard::run_delivery(Lane& lane, SlabHandle handle) {
  Connection* connection = connections_.find(handle);
  co_await deliver(*this, lane, *connection);
  lane.on_connection_end(*connection);
  connections_.erase(handle);
  if (std::exchange(connections_wanted_, false)) nudge_lanes();
}

std::unique_ptr<MessageBuffer> Shard::take_buffer() {
  if (spare_buffers_.empty()) return std::make_unique<MessageBuffer>(limits().message_bytes_max);
  std::unique_ptr<MessageBuffer> buffer = std::move(spare_buffers_.back());
  spare_buffers_.pop_back();
  return buffer;
}

void Shard::return_buffer(std::unique_ptr<MessageBuffer> buffer) {
  if (spare_buffers_.size() >= kSpareBuffersMax) return;
  buffer->clear();
  spare_buffers_.push_back(std::move(buffer));
}

// --- the end -------------------------------------------------------------------------------------

void Shard::halt() {
  peers_.halted.store(true, std::memory_order_relaxed);
  nudge_lanes();
}

void Shard::drain(Instant deadline) {
  if (draining_) return;
  draining_ = true;
  drain_deadline_ = deadline;
  placement_.stop();
  turns_.stop();
  rules_.stop();
  nudge_lanes();
  wake_connections();
  stories_.spawn(drain_story());
  services_.spawn(cut_at_deadline());
}

void Shard::wake_connections() {
  connections_.for_each([](Connection& connection) { connection.channel.stop_dialling(); });
}

Task<> Shard::cut_at_deadline() {
  if (!defect(Defect::kCutDrain)) co_await drain_pause_.until(drain_deadline_);
  cutting_ = true;
  wake_connections();
}

Task<> Shard::drain_story() {
  co_await deliveries_.close();
  drain_pause_.cut();
  signing_queue_.stop();
  co_await resolver_.close();
  co_await services_.close();
  co_await journal_.close();
  // The journal is whole now: what was cut at the deadline is told as well.
  const Instant told = std::max(drain_deadline_, now() + kLastEvents);
  for (const auto& follower : followers_) follower->finish(told);
  co_await followings_.close();
  stopped_ = true;
}

void Shard::before_wait() {
  // What is held besides parked domains is mail at lanes, on connections or on its way to disk.
  waits_for_dns_ = placement_.resolving_count() > 0 && holds_ == placement_.holds();
  forget_rested();
  resolver_.quiescent();
  resolver_.before_block();
  wait_began_ = io().precise_now();
}

void Shard::after_wait() {
  resolver_.after_block();
  const Instant now = loop_.now();
  spread_.on_turn(now, now - wait_began_);
  if (waits_for_dns_) peers_.dns_waits[number_].value.fetch_add((now - last_wait_end_).count());
  last_wait_end_ = now;
}

const Job* Shard::find_job_by_id(std::string_view id) const {
  const auto job = std::find_if(jobs_.begin(), jobs_.end(),
                                [&](const JobPtr& j) { return j != nullptr && j->id == id; });
  return job == jobs_.end() ? nullptr : job->get();
}

std::vector<RowPlace> Shard::in_flight_rows(std::string_view job_id) {
  std::vector<RowPlace> rows;
  const auto job = std::find_if(jobs_.begin(), jobs_.end(),
                                [&](const JobPtr& j) { return j != nullptr && j->id == job_id; });
  if (job == jobs_.end()) return rows;
  connections_.for_each([&](const Connection& connection) {
    for (const InFlight& flight : connection.in_flight) {
      if (!flight.taken || flight.segment->segment->job != *job) continue;
      rows.push_back({flight.segment->segment->number, flight.number});
    }
  });
  recorder_.append_unsynced((*job)->index, rows);
  return rows;
}

void Shard::fetch_sites_behind(size_t site) const {
  // Three steps from the list to a lane, each on its way while other sites are looked at.
  constexpr size_t kStep = 4;
  const size_t count = site_list_.size();
  if (site + 3 * kStep < count) __builtin_prefetch(site_list_[site + 3 * kStep]);
  if (site + 2 * kStep < count) __builtin_prefetch(site_list_[site + 2 * kStep]->lanes.data());
  if (site + kStep >= count) return;
  for (const auto& lane : site_list_[site + kStep]->lanes) {
    if (lane) lane->fetch_counts();
  }
}

std::vector<DepthNote> Shard::depth_notes(std::string_view site) const {
  const auto found = sites_.find(site);
  if (found == sites_.end()) return {};
  const Site& known = found->second->site;
  return known.depths->notes(shaped(known, 0).policy, now());
}

std::vector<std::string> Shard::broken_tls(std::string_view site) const {
  const auto found = sites_.find(site);
  if (found == sites_.end()) return {};
  return found->second->site.tls.words(now());
}

}  // namespace sluice
