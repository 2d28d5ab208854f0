// What a shard knows of the others and of the engine as a whole.
//
// One object for all shards, made before the first of them and outliving the last. Descriptors
// cross shards through post(); nothing else does.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/compose/sender_keys.h"
#include "engine/model/configuration.h"
#include "engine/model/limits.h"
#include "engine/record/tls_results.h"
#include "engine/ring/mailbox.h"
#include "engine/schedule/due_queue.h"
#include "engine/schedule/shared_limits.h"
#include "engine/spool/job_directory.h"

namespace sluice {

class Intake;
class Shard;
class StsStore;
class WebClient;
struct Job;

struct Peers {
  Peers(Configuration configuration, Limits bounds, uint32_t shards, Instant start);

  const Configuration config;
  const Limits limits;
  const SpoolPaths spool;
  const uint32_t shard_count;
  const TickClock clock;
  // Set before the first shard is made.
  SenderKeys keys;
  // Null: MTA-STS is off.
  StsStore* sts_store = nullptr;
  // Null: neither MTA-STS nor TLS reports. Both outlive the shards.
  WebClient* web = nullptr;
  // Filled in by each shard's constructor, before the first turn of any.
  std::vector<Shard*> shards;
  // Cursors that wait at the sites of each shard, counted by who sends them there and by who uses
  // them up: at Limits::cursors_per_shard the senders wait.
  struct alignas(64) Counter {
    std::atomic<int64_t> value{0};
  };
  std::unique_ptr<Counter[]> cursors;
  // Nanoseconds in which each shard had mail only for domains that DNS had not answered.
  std::unique_ptr<Counter[]> dns_waits;
  // How busy each shard was lately, and when that was said: by that shard.
  struct alignas(64) Load {
    std::atomic<uint32_t> busy{0};  // thousandths of the time
    std::atomic<int64_t> at{0};     // nanoseconds of Instant
    // Thousandths of the last ten seconds with mail only for domains that DNS had not answered;
    // negative: not known yet. By shard 0.
    std::atomic<int32_t> dns_wait{-1};
  };
  std::unique_ptr<Load[]> loads;
  // Share of the time lately in which the shard had something to do, 0 to 1.
  double busy(uint32_t shard, Instant now) const;
  // What sites, providers and jobs may do on all shards together.
  SharedLimits shared_limits;
  // Who takes and finishes jobs; lives on shard 0.
  Intake* intake = nullptr;
  // All rows of a job are final and its list is taken. Any shard's thread.
  void job_ended(const std::shared_ptr<Job>& job);
  // The events of journal files before `file` are told: they are no longer needed for that. Any
  // shard's thread. May be lost when shard 0 is busy: it is said again with the next.
  void journal_told(uint32_t series, uint32_t file);
  // Rows of a job cannot be read: for what status shows of it. Any shard's thread. Lost when shard
  // 0 is busy: the log has it.
  void unreadable(JobIndex job, std::string words);
  // For the TLS reports (tls_reports.h). Any shard's thread. Lost when shard 0 is busy.
  void tls_result(TlsResult result);
  // Set when sending must stop for good on all shards (the journal failed).
  std::atomic<bool> halted{false};

  // The shard that resolves a domain, and the one that owns a site.
  uint32_t home_of(std::string_view domain) const { return place(domain, 0x5bd1e995); }
  uint32_t owner_of(std::string_view site) const { return place(site, 0x9e3779b9); }

  // Runs `message` on a shard, in order of this caller's posts. False when its mailbox is full:
  // try again in a moment. Any thread.
  [[nodiscard]] bool post(uint32_t shard, Mailbox::Message message);

 private:
  uint32_t place(std::string_view name, uint32_t salt) const;
};

}  // namespace sluice
