#include "tests/sim/swarm_options.h"

namespace sluice::sim {

SwarmOptions::SwarmOptions(Random& random) {
  const auto one_in = [&](uint64_t odds) { return random.below(odds) == 0; };
  const auto number = [&](uint64_t least, uint64_t most) {
    return static_cast<uint32_t>(least + random.below(most - least + 1));
  };
  const auto maybe = [&](uint64_t when, Odds odds) { return one_in(when) ? odds : Odds{0}; };
  const auto maybe_number = [&](uint64_t when, uint64_t least, uint64_t most) {
    return one_in(when) ? number(least, most) : 0;
  };

  shards = number(1, 4);
  rows = number(20, 220);
  tiny = one_in(3);
  bad_rows = maybe_number(3, 1, 10);
  duplicates = tiny ? 0 : maybe_number(4, 1, 10);
  two_sources = one_in(3);
  short_lifetime = one_in(5);
  rate = one_in(4);
  connections = maybe_number(2, 1, 5);
  deliveries = maybe_number(3, 1, 10);

  piece_max = maybe_number(2, 1, 60);
  window = one_in(4) ? number(40, 3'000) : 64UL << 10;
  slow = one_in(4);
  resets = maybe(2, 300);
  ports = maybe_number(8, 1, 6);
  unreachable_sites = maybe_number(3, 1, 4);

  refuses = maybe(2, 10);
  defers = maybe(2, 10);
  greylists = one_in(6);
  every_nth = maybe_number(6, 2, 4);
  dot_drops = maybe(2, 20);
  dot_refuses = maybe(2, 30);
  tricks = maybe(3, number(30, 300));
  messages_per_line = maybe_number(4, 1, 10);
  lines_max = maybe_number(4, 1, 3);
  deferred_after = maybe_number(6, 1, 8);
  manner = one_in(3) ? static_cast<Manner>(number(1, 3)) : Manner::kPlain;
  pipelining = !one_in(4);
  refuses_size = one_in(10);
  drops_group = one_in(15);
  no_ehlo = one_in(12);
  sites_that_refuse_us = maybe_number(8, 1, 4);

  broken_domains = maybe_number(3, 1, 10);
  short_ttl = one_in(4);
  dns_goes_down = one_in(10);

  sync_errors = maybe(6, 60);
  slow_sync = one_in(8);
  full_disk = one_in(8);

  rounds = one_in(4) ? 0 : number(1, 4);
  long_rounds = one_in(3);
  drains = one_in(3);
  reloads = one_in(5);

  if (!one_in(3)) chunks = static_cast<Chunks>(number(1, 4));
  trusts_chunks = chunks == Chunks::kGood && one_in(2);

  // A refusal stands when the connection breaks behind it: with a receiver that loses commands it
  // may be another's, and nobody could tell.
  if (drops_group) {
    resets = tricks = dot_drops = 0;
    drains = false;
    chunks = Chunks::kNotOffered;
  }

  burst = rate ? maybe_number(2, 2, 12) : 0;
  dial_rate = one_in(6);
  provider_sites = maybe_number(3, 1, 4);
  provider_connections = maybe_number(2, 1, 6);
  provider_rate = one_in(2);
  job_rate = one_in(5);
  signs_in_turns = one_in(3);
  turn_cost = one_in(3) ? Duration(std::chrono::milliseconds(number(1, 5))) : Duration{};
  // Mail enough for one site that other shards help with it: more than they hold for a moment, and
  // no rate, under which nobody would.
  if (one_in(12) && !tiny) {
    large_site = number(1'500, 3'000);
    shards = number(2, 4);
    connections = number(2, 6);
    rate = provider_rate = job_rate = false;
    turn_cost = std::chrono::milliseconds(number(1, 5));
  }

  tls = one_in(2);
  if (!tls) return;
  const auto policy = [&] { return static_cast<TlsPolicy>(number(0, 4)); };
  for (SiteTls& site : tls_sites) {
    site.manner = one_in(2) ? TlsManner::kGood : static_cast<TlsManner>(number(0, 7));
    site.trusted = !one_in(4);
    site.right_name = !one_in(4);
  }
  hides_tls = maybe(4, number(2, 10));
  fails_tls = maybe(3, number(2, 10));
  wants_tls = one_in(4);
  rotates_tls = one_in(3);
  if (!one_in(3)) tls_policy = policy();
  if (one_in(3)) tls_rule = policy();
  // A job that a failing disk refuses ends a run, which is then not looked at any further.
  second_rows = full_disk || sync_errors != 0 ? 0 : maybe_number(2, 10, 100);
  second_policy = policy();
}

}  // namespace sluice::sim
