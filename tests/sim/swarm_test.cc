// Runs of the swarm: the first seeds, or those that SLUICE_SIM_SEED and SLUICE_SIM_SEEDS in the
// environment name; and again each seed that once found something.
#include "tests/sim/swarm.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace sluice::sim {
namespace {

uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Swarm, AnyMixtureOfTroubles) {
  const uint64_t first = number_from_environment("SLUICE_SIM_SEED", 1);
  const uint64_t count = number_from_environment("SLUICE_SIM_SEEDS", 40);
  Duration lasted{};
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const SwarmResult result = run_swarm(seed);
    lasted += result.lasted;
    if (HasFailure() && count == 1) puts(result.log.c_str());
    if (HasFailure()) {
      printf("failed: seed %llu\n", static_cast<unsigned long long>(seed));
      return;
    }
  }
  printf("%llu seeds, %.1f virtual hours\n", static_cast<unsigned long long>(count),
         std::chrono::duration<double, std::ratio<3600>>(lasted).count());
}

// Each line of seeds.txt begins with a seed, or is a comment.
TEST(Swarm, SeedsThatOnceFoundSomething) {
  std::ifstream file(SLUICE_SIM_SEEDS_FILE);
  ASSERT_TRUE(file.is_open()) << SLUICE_SIM_SEEDS_FILE;
  int run = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    SCOPED_TRACE(line);
    run_swarm(std::stoull(line));
    ++run;
  }
  EXPECT_GT(run, 0);
}

// Invariant 10.
TEST(Swarm, SameSeedSameEvents) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    EXPECT_EQ(run_swarm(seed).log, run_swarm(seed).log) << "invariant 10";
  }
}

}  // namespace
}  // namespace sluice::sim
