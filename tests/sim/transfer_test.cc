// Taking a job, with the power cut at every moment of it: each row is sent, nobody twice who was
// not in flight, and what is refused is refused whole, with all that was dropped.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/spool/job_directory.h"
#include "tests/sim/scene.h"

namespace sluice::sim {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr uint32_t kMoments = 60;

// Virtual moments after the drop: the sender looks into incoming/ five times a second, and every
// step of taking takes a millisecond or a few.
Duration moment(uint32_t i) { return milliseconds(150) + milliseconds(2) * i; }

TEST(Transfer, PowerCutAtAnyMomentOfTakingAJob) {
  uint32_t crashes = 0;
  for (uint32_t i = 0; i < kMoments; ++i) {
    SCOPED_TRACE("moment " + std::to_string(i));
    Scene scene({.seed = 1'000 + i});
    scene.zones.add("news.test MX 10 mx.sim");
    scene.zones.add("mx.sim A 10.0.0.1");
    scene.receiver(1);
    scene.start();
    scene.run_for(milliseconds(50));
    std::vector<std::string> recipients;
    for (int row = 0; row < 7; ++row) {
      recipients.push_back("user" + std::to_string(row) + "@news.test");
    }
    scene.drop_job("news", recipients);
    scene.run_for(moment(i));
    scene.crash();
    ++crashes;
    scene.start();
    ASSERT_TRUE(scene.run_jobs(hours(2)));
    EXPECT_FALSE(scene.a_job_was_refused());
    EXPECT_EQ(scene.summary("news").counts[State::kDelivered], 7);
    for (const std::string& recipient : recipients) {
      const auto times = scene.times_taken();
      const auto taken = times.find(recipient);
      ASSERT_NE(taken, times.end()) << recipient;
      EXPECT_LE(taken->second, 2U) << recipient;
    }
    // A second restart finds nothing to do.
    const auto before = scene.times_taken();
    scene.crash();
    scene.start();
    scene.run_for(std::chrono::seconds(5));
    EXPECT_EQ(scene.times_taken(), before);
  }
  EXPECT_EQ(crashes, kMoments);
}

}  // namespace
}  // namespace sluice::sim
