#include "engine/schedule/connections.h"

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace sluice {
namespace {

TEST(Connections, DialsForTheRowsThatOthersDoNotTake) {
  ConnectionDemand demand;
  demand.connection_limit = 20;
  demand.window = 5;
  demand.in_flight_max = 2;
  EXPECT_EQ(connections_wanted(demand), 0U);
  demand.rows_ready = 1;
  EXPECT_EQ(connections_wanted(demand), 1U);
  demand.rows_ready = 5;
  EXPECT_EQ(connections_wanted(demand), 3U);
  demand.rows_ready = 1'000;
  EXPECT_EQ(connections_wanted(demand), 5U);
  demand.open = 3;
  demand.dialling = 3;
  demand.window = 20;
  EXPECT_EQ(connections_wanted(demand), 17U);
  demand.rows_ready = 6;
  EXPECT_EQ(connections_wanted(demand), 0U);
  demand.dialling = 1;
  demand.idle = 1;
  EXPECT_EQ(connections_wanted(demand), 1U);
}

TEST(Connections, NeverBeyondALimitNorMoreThanRows) {
  Random random(1);
  for (int i = 0; i < 100'000; ++i) {
    ConnectionDemand demand;
    demand.rows_ready = random.below(random.below(2) == 0 ? 10 : 10'000'000'000);
    demand.idle = static_cast<uint32_t>(random.below(5));
    demand.dialling = static_cast<uint32_t>(random.below(5));
    demand.open = demand.idle + demand.dialling + static_cast<uint32_t>(random.below(10));
    demand.connection_limit = static_cast<uint32_t>(random.below(30));
    demand.window = static_cast<uint32_t>(random.below(30));
    demand.in_flight_max = static_cast<uint32_t>(random.below(4));
    const uint32_t wanted = connections_wanted(demand);
    if (wanted == 0) continue;
    ASSERT_LE(demand.open + wanted, demand.connection_limit);
    ASSERT_LE(demand.open + wanted, demand.window);
    ASSERT_LE(wanted, demand.rows_ready);
  }
}

}  // namespace
}  // namespace sluice
