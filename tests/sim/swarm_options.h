// What may go wrong in one run of the swarm, drawn from its seed.
//
// Each trouble is there or not, so that runs differ in kind and not only in number: a bug that two
// troubles hide from each other shows where one is missing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/base/random.h"
#include "engine/base/time.h"
#include "engine/model/policy.h"
#include "tests/sim/receiver.h"

namespace sluice::sim {

// "One in so many"; 0: never.
using Odds = uint64_t;

struct SwarmOptions {
  explicit SwarmOptions(Random& random);

  // --- the engine and its mail
  uint32_t shards = 1;
  uint32_t rows = 0;
  bool tiny = false;        // Limits::tiny()
  uint32_t large_site = 0;  // further rows, all of one domain
  uint32_t bad_rows = 0;    // no addresses
  uint32_t duplicates = 0;  // rows that stand twice, in a list that asks for dedupe
  bool two_sources = false;
  bool short_lifetime = false;
  bool rate = false;         // 50 messages/s for each site
  uint32_t burst = 0;        // of it; 0: the default
  uint32_t connections = 0;  // connection_limit; 0: the default
  uint32_t deliveries = 0;   // max_deliveries_per_connection; 0: the default

  bool dial_rate = false;             // 10 connections/s for each site
  uint32_t provider_sites = 0;        // that belong to a provider; 0: it is not known
  uint32_t provider_connections = 0;  // 0: no limit
  bool provider_rate = false;         // 40 messages/s
  bool job_rate = false;              // 60 messages/s
  bool signs_in_turns = false;        // messages are taken as where they are signed
  Duration turn_cost{};               // of the core: shards help those that are busy

  // --- network
  size_t piece_max = 0;
  size_t window = 0;
  bool slow = false;
  Odds resets = 0;
  uint32_t ports = 0;              // from one address; 0: many
  uint32_t unreachable_sites = 0;  // refused, no route, silent

  // --- receivers
  Odds refuses = 0, defers = 0;
  bool greylists = false;  // the first tries of ten minutes
  uint32_t every_nth = 0;  // recipient is refused; 0: none
  Odds dot_drops = 0, dot_refuses = 0;
  Odds tricks = 0;
  uint32_t messages_per_line = 0, lines_max = 0;
  uint32_t deferred_after = 0;  // 452 to MAIL behind so many on a connection
  Manner manner = Manner::kPlain;
  Chunks chunks = Chunks::kNotOffered;
  bool trusts_chunks = false;  // a rule says so
  bool pipelining = true, refuses_size = false, drops_group = false, no_ehlo = false;
  uint32_t sites_that_refuse_us = 0;  // 550 5.7.1 to every MAIL

  // --- names
  uint32_t broken_domains = 0;
  bool short_ttl = false;
  bool dns_goes_down = false;

  // --- disk
  Odds sync_errors = 0;
  bool slow_sync = false;
  bool full_disk = false;

  // --- the process
  uint32_t rounds = 0;  // that end with a power cut or a drain
  bool long_rounds = false;
  bool drains = false;
  bool reloads = false;

  // --- TLS
  struct SiteTls {
    TlsManner manner = TlsManner::kNotOffered;
    bool trusted = true;
    bool right_name = true;
  };
  bool tls = false;  // else nobody offers STARTTLS, and nobody asks for it
  std::array<SiteTls, 4> tls_sites;
  Odds hides_tls = 0, fails_tls = 0;
  bool wants_tls = false;    // 530 to MAIL in clear
  bool rotates_tls = false;  // good certificates turn bad, and bad ones good
  std::optional<TlsPolicy> tls_policy;
  std::optional<TlsPolicy> tls_rule;  // of one domain, which is a site of its own for it
  uint32_t second_rows = 0;           // of a second job, for the same domains
  TlsPolicy second_policy = TlsPolicy::kNone;
};

}  // namespace sluice::sim
