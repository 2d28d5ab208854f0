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
// Files of segments kept open between reads; beyond it they are opened for each.
constexpr uint32_t kSegmentFilesMax = 32;
// A new site waits at most so long for the sites of the shaping rules' domains to be known.
constexpr Duration kRulesWait = std::chrono::seconds(5);

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

}  // namespace

Shard::Shard(Peers& peers, Loop& loop, Lookup& lookup, resolver_cache::Cache& cache,
             uint32_t number)
    : peers_(peers),
      number_(number),
      loop_(loop),
      resolver_(loop, lookup, cache, resolver_options_of(peers.config)),
      recorder_(*this),
      journal_(loop, journal_options(peers, number), recorder_),
      placement_(*this),
      shaping_(peers.config.shaping),
      retry_(peers.config.retry),
      rule_sites_(shaping_.size()),
      rules_known_(loop),
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
  services_.spawn(learn_rule_sites());
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

Task<> Shard::learn_rule_sites() {
  const uint32_t reloads = reloads_;
  for (size_t i = 0; i < shaping_.size() && !draining_; ++i) {
    const std::string domain = shaping_[i].domain;
    if (domain == "default") continue;
    const RoutePtr route = co_await resolver_.route(domain);
    if (reloads != reloads_) co_return;  // other rules are in force meanwhile
    if (!route->usable()) continue;
    rule_sites_[i] = route->site;
    if (const auto found = sites_.find(std::string_view(route->site)); found != sites_.end()) {
      apply_rules(*found->second);
    }
  }
  rules_learnt_ = true;
  rules_known_.notify_all();
}

void Shard::reload(ShapingRules shaping, Configuration::Retry retry) {
  if (!draining_) services_.spawn(reload_story(std::move(shaping), retry));
}

Task<> Shard::reload_story(ShapingRules shaping, Configuration::Retry retry) {
  const uint32_t reload = ++reloads_;
  std::vector<std::string> sites(shaping.size());
  for (size_t i = 0; i < shaping.size() && !draining_; ++i) {
    if (shaping[i].domain == "default") continue;
    const RoutePtr route = co_await resolver_.route(shaping[i].domain);
    if (route->usable()) sites[i] = route->site;
  }
  if (reload != reloads_) co_return;  // a later reload overtook this one
  shaping_ = std::move(shaping);
  retry_ = retry;
  rule_sites_ = std::move(sites);
  for (SiteEntry* entry : site_list_) apply_rules(*entry);
  rules_learnt_ = true;
  rules_known_.notify_all();
}

Task<> Shard::wait_for_rules() {
  const Instant deadline = now() + kRulesWait;
  while (!rules_learnt_ && !draining_ && now() < deadline) co_await rules_known_.wait(deadline);
}

void Shard::apply_rules(SiteEntry& entry) {
  SitePolicy policy;
  for (size_t i = 0; i < shaping_.size(); ++i) {
    const ShapingRule& rule = shaping_[i];
    const bool matches = rule.domain == "default" || rule.domain == entry.site.domain ||
                         (rule.mx_rollup && rule_sites_[i] == entry.site.name);
    if (matches) rule.apply(policy);
  }
  entry.site.policy = policy;
  for (const auto& lane : entry.lanes) {
    if (lane) lane->policy_changed();
  }
}

// --- sites, lanes --------------------------------------------------------------------------------

Shard::SiteEntry& Shard::site_of(const RoutePtr& route, std::string_view domain) {
  std::unique_ptr<SiteEntry>& entry = sites_[route->site];
  if (!entry) {
    entry = std::make_unique<SiteEntry>();
    entry->site.name = route->site;
    entry->site.domain = domain;
    entry->lanes.resize(config().sources.size());
    entry->site.paused =
        std::find(paused_sites_.begin(), paused_sites_.end(), route->site) != paused_sites_.end();
    apply_rules(*entry);
    site_list_.push_back(entry.get());
  }
  if (!entry->site.route || entry->site.route->expires < route->expires) {
    entry->site.route = route;
  }
  return *entry;
}

Lane& Shard::lane_of(SiteEntry& entry, uint32_t source) {
  std::unique_ptr<Lane>& lane = entry.lanes[source];
  if (!lane) {
    lane = std::make_unique<Lane>(*this, entry.site, source);
  }
  return *lane;
}

void Shard::nudge_lanes() {
  // From another site on each time: who comes first gets the connection that is free.
  const size_t count = site_list_.size();
  for (size_t i = 0; i < count; ++i) {
    for (const auto& lane : site_list_[(nudge_from_ + i) % count]->lanes) {
      if (lane) lane->nudge();
    }
  }
  ++nudge_from_;
}

void Shard::refresh_route(Site& site) {
  if (site.refreshing) return;
  site.refreshing = true;
  services_.spawn(refresh_story(site));
}

Task<> Shard::refresh_story(Site& site) {
  const RoutePtr route = co_await resolver_.route(site.domain);
  if (route->usable() && route->site == site.name) site.route = route;
  site.refreshing = false;
}

// --- from other shards ---------------------------------------------------------------------------

void Shard::register_job(const JobPtr& job) {
  if (jobs_.size() <= job->index) jobs_.resize(job->index + 1);
  jobs_[job->index] = job;
  journal_.register_job(job->index, job->id);
}

void Shard::forget_job(JobIndex job) { jobs_[job] = nullptr; }

void Shard::publish(const SegmentPtr& segment) {
  if (draining_) return;
  services_.spawn(placement_.walk(segment));
}

void Shard::receive_domain(const SegmentPtr& segment, uint32_t domain, const RoutePtr& route,
                           bool deferred) {
  if (draining_) return;
  const SegmentIndex& index = segment->index;
  const Job& job = *segment->job;
  if (job.cancelled) {
    cancel_domain(segment, domain, deferred);
    return;
  }
  SiteEntry& entry = site_of(route, index.domain(domain));
  OpenSegment& open = open_segment(segment);
  hold(open, 1);
  if (deferred) open.mark_deferred(domain);
  const SegmentIndex::BlockRange range = index.blocks_of(domain);
  for (uint32_t block = range.first; block < range.last; ++block) {
    const uint32_t rows = segment->waiting_rows(block);
    if (rows == 0) continue;
    hold(open, rows);
    peers_.cursors[number_].value.fetch_add(1, std::memory_order_relaxed);
    lane_of(entry, job.source_of(segment->number(), block))
        .add({.segment_ref = segment->ref, .block = block, .job = job.index, .rows = rows},
             job.spec.send.priority);
  }
  if (segment->recovered) add_recovered(entry, open, domain);
  release(open);
}

// Rows that were deferred before a restart fall due when they would have.
void Shard::add_recovered(SiteEntry& entry, OpenSegment& open, uint32_t domain) {
  const PublishedSegment& segment = *open.segment;
  const SegmentRow first = segment.index.first_row_of(domain);
  const SegmentRow last = segment.index.last_row_of(domain);
  const std::vector<DeferredRow>& deferred = segment.recovered->deferred();
  auto at = std::lower_bound(deferred.begin(), deferred.end(), first,
                             [](const DeferredRow& d, SegmentRow r) { return d.row < r; });
  for (; at != deferred.end() && at->row < last; ++at) {
    const DeferredRow& row = *at;
    hold(open, 1);
    const Instant due = now() + (row.next_at - wall_now());
    const uint32_t block = segment.index.find_row(row.row);
    lane_of(entry, segment.job->source_of(segment.number(), block))
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
  release(segment);
  if (owner->open_rows.fetch_sub(count, std::memory_order_acq_rel) == count) {
    peers_.job_ended(owner);
  }
}

void Shard::cancel_domain(const SegmentPtr& segment, uint32_t domain, bool deferred) {
  int64_t waiting = 0;
  int64_t retried = 0;
  const SegmentIndex& index = segment->index;
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

// --- segments ------------------------------------------------------------------------------------

OpenSegment& Shard::open_segment(const SegmentPtr& segment) {
  std::unique_ptr<OpenSegment>& open = segments_[segment->ref];
  if (!open) {
    open = std::make_unique<OpenSegment>();
    open->segment = segment;
  }
  return *open;
}

OpenSegment* Shard::find_segment(uint32_t ref) {
  const auto found = segments_.find(ref);
  return found == segments_.end() ? nullptr : found->second.get();
}

void Shard::release(OpenSegment& segment) {
  CHECK(segment.holds > 0);
  if (--segment.holds > 0) return;
  close_file(segment);
  segments_.erase(segment.segment->ref);
}

Status Shard::begin_read(OpenSegment& segment) {
  // The rest of the ring's operations belongs to the connections.
  if (reads_ >= limits().operations_per_ring / 16) return exhausted("too many reads at once");
  if (segment.file == kNoHandle) {
    ASSIGN_OR_RETURN(segment.file, io().open_file(segment.segment->path, OpenMode::kRead));
    ++segment_files_;
  }
  ++segment.reads;
  ++reads_;
  return {};
}

void Shard::end_read(OpenSegment& segment) {
  CHECK(segment.reads > 0 && reads_ > 0);
  --reads_;
  // Rows of a slow site keep a segment for days, and there may be thousands of such segments.
  if (--segment.reads == 0 && segment_files_ > kSegmentFilesMax) close_file(segment);
}

void Shard::close_file(OpenSegment& segment) {
  if (segment.file == kNoHandle) return;
  io().close(std::exchange(segment.file, kNoHandle));
  --segment_files_;
}

void Shard::row_done(OpenSegment& segment) {
  const JobPtr job = segment.segment->job;
  release(segment);
  if (job->open_rows.fetch_sub(1, std::memory_order_acq_rel) == 1) peers_.job_ended(job);
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
  const bool greeted = connection->greeted;
  const bool worked = connection->worked;
  connections_.erase(handle);
  if (std::exchange(connections_wanted_, false)) nudge_lanes();
  lane.on_connection_end(greeted, worked);
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
  rules_known_.notify_all();
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
  resolver_.quiescent();
  resolver_.before_block();
}

void Shard::after_wait() { resolver_.after_block(); }

std::vector<RowPlace> Shard::in_flight_rows(std::string_view job_id) {
  std::vector<RowPlace> rows;
  const auto job = std::find_if(jobs_.begin(), jobs_.end(),
                                [&](const JobPtr& j) { return j != nullptr && j->id == job_id; });
  if (job == jobs_.end()) return rows;
  connections_.for_each([&](const Connection& connection) {
    for (const InFlight& flight : connection.in_flight) {
      if (!flight.taken || flight.segment->segment->job != *job) continue;
      rows.push_back({flight.segment->segment->number(), flight.number});
    }
  });
  recorder_.append_unsynced((*job)->index, rows);
  return rows;
}

std::vector<Shard::SiteStatus> Shard::site_status() const {
  std::vector<SiteStatus> out;
  for (const SiteEntry* entry : site_list_) {
    for (const auto& lane : entry->lanes) {
      if (!lane) continue;
      out.push_back({entry->site.name, config().sources[lane->source()].name, lane->rows_waiting(),
                     lane->connections_open(), std::string(lane->last_failure())});
    }
  }
  return out;
}

}  // namespace sluice
