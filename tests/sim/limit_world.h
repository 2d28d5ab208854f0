// What tests of limits share: sites that differ in nothing, and what came to them when.
//
// Domain exampleN.test has the exchanger mxN.sim at 10.0.0.N+1, a site of its own. Every octet
// takes the same time, so that what left at a permit's moment arrives at it: rates are judged
// without slack. THREAD. One. ERRORS. None.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/sim/bucket.h"
#include "tests/sim/scene.h"

namespace sluice::sim {

constexpr Duration kTrip = std::chrono::milliseconds(5);  // one way

void add_even_weather(Scene& scene);
// One receiver each.
void add_sites(Scene& scene, uint32_t count, const ReceiverRules& rules = {});
IpAddress site_address(uint32_t site);

// "NAME0@exampleN.test" ... , `each` at each of the sites, in turn.
std::vector<std::string> at_sites(const std::string& name, uint32_t sites, uint32_t each);
std::vector<std::string> at_domain(const std::string& name, const std::string& domain,
                                   uint32_t count);

// Messages at all receivers, in their order.
std::vector<Instant> all_messages(const Scene& scene);
// Of those whose recipients' names begin so: when they were taken, in order.
std::vector<Instant> taken_of(const Scene& scene, const std::string& name);
uint64_t count_taken(const Scene& scene);
double seconds(Duration time);

// In any time t at most burst + rate * t.
void expect_rate(const std::vector<Instant>& times, const Rate& rate);
// The last came no later than the rate allows, give or take 5 %.
void expect_used(const std::vector<Instant>& times, const Rate& rate);
// Every recipient once, the job delivered as a whole.
void expect_all_once(const Scene& scene, const std::string& job, uint64_t rows);

}  // namespace sluice::sim
