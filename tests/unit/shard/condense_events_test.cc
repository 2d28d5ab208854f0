#include "engine/shard/condense_events.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zstd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "engine/ring/gate.h"
#include "tests/unit/loop_directory.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kNow = 1'795'341'600;
constexpr char kOld[] = "events.000-20261122T094500Z-0001.jsonl";
constexpr char kNew[] = "events.001-20261122T095959Z-0001.jsonl";

Task<> keep(Task<StatusOr<uint32_t>> task, StatusOr<uint32_t>& count, bool& done) {
  count = co_await std::move(task);
  done = true;
}

class CompressEvents : public LoopDirectory {
 protected:
  void write(const std::string& name, const std::string& text, int64_t modified) const {
    const std::string path = root_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    const timespec times[2] = {{modified, 0}, {modified, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  static std::string lines(uint32_t count) {
    std::string text;
    for (uint32_t i = 0; i < count; ++i) {
      text += "{\"type\":\"Delivery\",\"row\":" + std::to_string(i) + ",\"site\":\"mx.example\"}\n";
    }
    return text;
  }
  std::string unpacked(const std::string& name) const {
    std::ostringstream octets;
    octets << std::ifstream(root_ + "/" + name, std::ios::binary).rdbuf();
    const std::string packed = octets.str();
    std::string text(8UL << 20, '\0');
    ZSTD_DCtx* const context = ZSTD_createDCtx();
    ZSTD_inBuffer in{packed.data(), packed.size(), 0};
    ZSTD_outBuffer out{text.data(), text.size(), 0};
    const size_t left = ZSTD_decompressStream(context, &out, &in);
    ZSTD_freeDCtx(context);
    EXPECT_EQ(left, 0U) << "a whole frame, and nothing behind it";
    EXPECT_EQ(in.pos, packed.size());
    text.resize(out.pos);
    return text;
  }
  bool exists(const std::string& name) const { return fs::exists(root_ + "/" + name); }
  StatusOr<uint32_t> compress(bool stopped = false) {
    StatusOr<uint32_t> count = 0U;
    bool done = false;
    const WallTime before = from_unix_seconds(kNow - 10);
    gate_.spawn(keep(compress_event_files(*loop_, root_, before, [stopped] { return stopped; }),
                     count, done));
    while (!done) loop_->turn();
    loop_->turn(loop_->now());
    return count;
  }

  Gate gate_;
};

TEST_F(CompressEvents, RotatedFilesThatHaveRested) {
  write(kOld, lines(50'000), kNow - 11);
  write(kNew, lines(10), kNow - 9);
  write("events.000.jsonl", lines(10), kNow - 100);
  write("somebody's.jsonl", lines(10), kNow - 100);
  const StatusOr<uint32_t> count = compress();
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(*count, 1U);
  EXPECT_FALSE(exists(kOld));
  EXPECT_EQ(unpacked(std::string(kOld) + ".zst"), lines(50'000));
  EXPECT_TRUE(exists(kNew));
  EXPECT_TRUE(exists("events.000.jsonl"));
  EXPECT_TRUE(exists("somebody's.jsonl"));
  EXPECT_EQ(*compress(), 0U);
}

TEST_F(CompressEvents, ATwinThatACrashLeftGoes) {
  write(kOld, lines(3), kNow - 11);
  write(std::string(".new-") + kOld + ".zst", "cut short", kNow - 11);
  ASSERT_EQ(*compress(), 1U);
  write(kOld, lines(3), kNow - 11);
  EXPECT_EQ(*compress(), 0U);
  EXPECT_FALSE(exists(kOld));
  EXPECT_EQ(unpacked(std::string(kOld) + ".zst"), lines(3));
}

TEST_F(CompressEvents, StoppedItLeavesThePlainFile) {
  write(kOld, lines(3), kNow - 11);
  EXPECT_TRUE(absl::IsAborted(compress(/*stopped=*/true).status()));
  EXPECT_TRUE(exists(kOld));
  EXPECT_FALSE(exists(std::string(kOld) + ".zst"));
}

TEST_F(CompressEvents, NoRecordYet) {
  fs::remove_all(root_);
  EXPECT_EQ(*compress(), 0U);
}

}  // namespace
}  // namespace sluice
