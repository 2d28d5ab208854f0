#include "engine/shard/suppress_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "engine/base/random.h"
#include "engine/ring/gate.h"
#include "tests/unit/loop_directory.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

Task<Status> no_status(Task<> task) {
  co_await std::move(task);
  co_return Status();
}

// A directory of lists, with tiny limits: a piece has 64 octets, eight keys are sorted at a time.
class SuppressFileTest : public LoopDirectory {
 protected:
  void SetUp() override {
    LoopDirectory::SetUp();
    fs::create_directories(root_ + "/suppress");
    fs::create_directories(root_ + "/suppress.index");
    place_ = std::make_unique<SuppressPlace>(SuppressPlace{
        *loop_, limits_, root_ + "/suppress", root_ + "/suppress.index", [] { return false; }});
  }

  static std::string address(int i) { return "user" + std::to_string(i) + "@example.com"; }
  static std::string lines(int from, int to) {
    std::string out;
    for (int i = from; i < to; ++i) out += address(i) + "\n";
    return out;
  }
  // Its time of change is long past, and another one each time.
  void write(const std::string& octets, bool append = false) {
    const std::string path = root_ + "/suppress/a.txt";
    std::ofstream(path, append ? std::ios::binary | std::ios::app : std::ios::binary) << octets;
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(10) +
                                  std::chrono::seconds(++changes_));
  }
  FileStat stat() const { return *io_->stat(root_ + "/suppress/a.txt"); }
  Status take(SuppressFile& file) { return run(file.read(stat())); }

  bool holds(const SuppressFile& file, const std::string& one) {
    const Hash128 key = suppress_key_of_address(one);
    const bool in_memory =
        std::find(file.keys().begin(), file.keys().end(), key) != file.keys().end();
    if (in_memory || file.run() == nullptr) return in_memory;
    HashRunFiles runs(*loop_);
    const StatusOr<bool> there = run(runs.contains(file.run(), key));
    EXPECT_TRUE(there.ok()) << there.status();
    return there.ok() && *there;
  }
  void expect_holds(const SuppressFile& file, int from, int to) {
    for (int i = from; i < to; ++i) EXPECT_TRUE(holds(file, address(i))) << i;
    EXPECT_FALSE(holds(file, address(to)));
    EXPECT_FALSE(holds(file, address(from - 1)));
  }
  std::vector<std::string> index_files() const { return *io_->list(root_ + "/suppress.index"); }

  Limits limits_ = Limits::tiny();
  std::unique_ptr<SuppressPlace> place_;
  int changes_ = 0;
};

TEST_F(SuppressFileTest, ASmallListIsInMemory) {
  write(lines(0, 3) + "user3@example.com");
  SuppressFile file(*place_, "a.txt");
  ASSERT_TRUE(take(file).ok());
  expect_holds(file, 0, 4);
  EXPECT_EQ(file.run(), nullptr);
  EXPECT_TRUE(file.kinds().addresses);
  EXPECT_FALSE(file.kinds().domains);
  EXPECT_TRUE(file.is_current(stat()));
  EXPECT_TRUE(index_files().empty());
}

TEST_F(SuppressFileTest, ALargeOneLiesOnDiskBehindItsLastPiece) {
  write(lines(0, 1'000));
  SuppressFile file(*place_, "a.txt");
  ASSERT_TRUE(take(file).ok());
  ASSERT_NE(file.run(), nullptr);
  EXPECT_LT(file.keys().size(), 8U);
  EXPECT_GT(file.run()->index.entries(), 990U);
  expect_holds(file, 0, 1'000);
  EXPECT_EQ(index_files().size(), 1U);
}

TEST_F(SuppressFileTest, WhatIsAppendedIsTakenAtOnceAndComparedLater) {
  write(lines(0, 1'000));
  SuppressFile file(*place_, "a.txt");
  ASSERT_TRUE(take(file).ok());
  const HashRunPtr before = file.run();
  write(lines(1'000, 1'001), true);
  EXPECT_FALSE(file.is_current(stat()));
  ASSERT_TRUE(take(file).ok());
  EXPECT_EQ(file.run(), before);
  expect_holds(file, 0, 1'001);
  EXPECT_TRUE(file.is_unverified());
  ASSERT_TRUE(run(file.verify()).ok());
  EXPECT_FALSE(file.is_unverified());
  EXPECT_TRUE(file.is_current(stat()));
  // So much that it is sorted again.
  write(lines(1'001, 1'100), true);
  ASSERT_TRUE(take(file).ok());
  EXPECT_NE(file.run(), before);
  EXPECT_EQ(file.take_retired(), std::vector<std::string>{before->path});
  expect_holds(file, 0, 1'100);
}

TEST_F(SuppressFileTest, ALineThatIsCompletedLater) {
  write(lines(0, 50) + "user50@exam");
  SuppressFile file(*place_, "a.txt");
  ASSERT_TRUE(take(file).ok());
  EXPECT_TRUE(holds(file, "user50@exam"));
  write("ple.com\n", true);
  ASSERT_TRUE(take(file).ok());
  EXPECT_FALSE(holds(file, "user50@exam"));
  expect_holds(file, 0, 51);
}

TEST_F(SuppressFileTest, AnotherContentTakesItsPlace) {
  write(lines(0, 1'000));
  SuppressFile file(*place_, "a.txt");
  ASSERT_TRUE(take(file).ok());
  write(lines(2'000, 2'500));
  ASSERT_TRUE(take(file).ok());
  expect_holds(file, 2'000, 2'500);
  EXPECT_FALSE(holds(file, address(0)));
  write(lines(5, 7));
  ASSERT_TRUE(take(file).ok());
  expect_holds(file, 5, 7);
  EXPECT_EQ(file.run(), nullptr);
  EXPECT_EQ(file.take_retired().size(), 2U);
}

TEST_F(SuppressFileTest, AChangeInTheMiddleIsSeenByComparing) {
  write(lines(0, 1'000));
  SuppressFile file(*place_, "a.txt");
  ASSERT_TRUE(take(file).ok());
  // user100 becomes other00, and a line is appended.
  std::string octets = lines(0, 1'001);
  octets.replace(octets.find("user100@"), 8, "other00@");
  write(octets);
  ASSERT_TRUE(take(file).ok());
  EXPECT_TRUE(holds(file, address(1'000)));
  ASSERT_TRUE(run(file.verify()).ok());
  EXPECT_FALSE(file.is_current(stat()));
  ASSERT_TRUE(take(file).ok());
  EXPECT_TRUE(holds(file, "other00@example.com"));
  EXPECT_FALSE(holds(file, address(100)));
}

TEST_F(SuppressFileTest, ARestartGoesOnWithTheRun) {
  write(lines(0, 1'000));
  {
    SuppressFile file(*place_, "a.txt");
    ASSERT_TRUE(take(file).ok());
  }
  ASSERT_EQ(index_files().size(), 1U);
  const auto generation = SuppressFile::parse_run_name(index_files()[0]);
  ASSERT_TRUE(generation.has_value());
  const std::string path = root_ + "/suppress.index/" + index_files()[0];
  HashRunFiles runs(*loop_);
  const StatusOr<HashRunPtr> made = run(runs.open(path));
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(SuppressFile::list_of(**made), "a.txt");

  SuppressFile again(*place_, "a.txt");
  ASSERT_TRUE(run(again.restore(path, *generation)).ok());
  ASSERT_TRUE(take(again).ok());
  expect_holds(again, 0, 1'000);
  EXPECT_EQ(again.run()->path, path);
  EXPECT_FALSE(again.is_unverified());

  SuppressFile grown(*place_, "a.txt");
  ASSERT_TRUE(run(grown.restore(path, *generation)).ok());
  write(lines(1'000, 1'002), true);
  ASSERT_TRUE(take(grown).ok());
  expect_holds(grown, 0, 1'002);
  EXPECT_TRUE(grown.is_unverified());

  SuppressFile other(*place_, "b.txt");
  EXPECT_FALSE(run(other.restore(path, *generation)).ok());
}

TEST_F(SuppressFileTest, GoesToTheDiskWhenAsked) {
  limits_.suppress_sort_entries = 100;
  write(lines(0, 50));
  SuppressFile file(*place_, "a.txt");
  ASSERT_TRUE(take(file).ok());
  EXPECT_EQ(file.keys().size(), 50U);
  ASSERT_TRUE(run(file.put_on_disk()).ok());
  EXPECT_LT(file.keys().size(), 8U);
  ASSERT_NE(file.run(), nullptr);
  expect_holds(file, 0, 50);
  write(lines(50, 60), true);
  ASSERT_TRUE(take(file).ok());
  ASSERT_TRUE(run(file.put_on_disk()).ok());
  expect_holds(file, 0, 60);
  EXPECT_EQ(file.take_retired().size(), 1U);
}

TEST_F(SuppressFileTest, WhatCannotBeReadKeepsItsContent) {
  write(lines(0, 20));
  SuppressFile file(*place_, "a.txt");
  ASSERT_TRUE(take(file).ok());
  fs::remove(root_ + "/suppress/a.txt");
  fs::create_directory(root_ + "/suppress/a.txt");
  EXPECT_FALSE(run(file.read(stat())).ok());
  expect_holds(file, 0, 20);
  EXPECT_FALSE(file.is_current(stat()));
  fs::remove(root_ + "/suppress/a.txt");
  fs::create_symlink("/etc/passwd", root_ + "/suppress/a.txt");
  EXPECT_FALSE(run(file.read(stat())).ok());
  expect_holds(file, 0, 20);
}

TEST_F(SuppressFileTest, DamageOfARunIsAnError) {
  write(lines(0, 1'000));
  SuppressFile file(*place_, "a.txt");
  ASSERT_TRUE(take(file).ok());
  {
    std::fstream octets(file.run()->path, std::ios::in | std::ios::out | std::ios::binary);
    octets.seekp(100);
    octets.put('!');
  }
  HashRunFiles runs(*loop_);
  size_t errors = 0;
  for (int i = 0; i < 1'000; ++i) {
    if (!run(runs.contains(file.run(), suppress_key_of_address(address(i)))).ok()) ++errors;
  }
  EXPECT_GT(errors, 200U);  // all of the first block
  HashFilter filter(1'000, 1'000);
  EXPECT_FALSE(run(runs.fill(file.run(), filter, [] { return false; })).ok());
  file.distrust();
  ASSERT_TRUE(take(file).ok());
  expect_holds(file, 0, 1'000);
}

TEST_F(SuppressFileTest, SortsInSlices) {
  Random random(9);
  for (const size_t count : {0, 1, 255, 257, 1'000, 100'000}) {
    std::vector<Hash128> hashes;
    for (size_t i = 0; i < count; ++i) hashes.push_back({random.next(), random.next()});
    // Uneven ones too.
    for (size_t i = 0; i < count / 4; ++i) hashes.push_back({random.next(), 7});
    std::vector<Hash128> expected = hashes;
    std::sort(expected.begin(), expected.end(), hash_less);
    ASSERT_TRUE(run(no_status(sort_in_slices(hashes))).ok());
    EXPECT_EQ(hashes, expected);
  }
}

TEST_F(SuppressFileTest, SortsMoreThanItMayMerge) {
  Random random(10);
  HashSorter sorter(*loop_, root_ + "/suppress.index/sorting.", 16, [] { return false; });
  std::vector<Hash128> all;
  for (size_t i = 0; i < 16 * (HashSorter::kRunsMax + 5) + 3; ++i) {
    const Hash128 hash{random.next(), random.next()};
    all.push_back(hash);
    sorter.chunk().push_back(hash);
    if (sorter.full()) {
      ASSERT_TRUE(run(sorter.spill()).ok());
    }
  }
  EXPECT_TRUE(sorter.has_spilled());
  const StatusOr<HashRunPtr> merged =
      run(sorter.merge(nullptr, root_ + "/suppress.index/all", "meta"));
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ((*merged)->index.entries(), all.size());
  HashRunFiles runs(*loop_);
  for (size_t i = 0; i < all.size(); i += 7) {
    ASSERT_TRUE(*run(runs.contains(*merged, all[i])));
  }
  EXPECT_FALSE(*run(runs.contains(*merged, {1, 2})));
  EXPECT_EQ(index_files(), std::vector<std::string>{"all"});
  // Another round on top of it.
  sorter.chunk().push_back({1, 2});
  const StatusOr<HashRunPtr> more =
      run(sorter.merge(*merged, root_ + "/suppress.index/more", "meta"));
  ASSERT_TRUE(more.ok()) << more.status();
  EXPECT_EQ((*more)->index.entries(), all.size() + 1);
  EXPECT_TRUE(*run(runs.contains(*more, {1, 2})));
}

TEST_F(SuppressFileTest, NamesOfRuns) {
  const std::string name = SuppressFile::run_name("a.txt", 12);
  EXPECT_EQ(SuppressFile::parse_run_name(name), 12U);
  EXPECT_LT(SuppressFile::run_name("a.txt", 9), SuppressFile::run_name("a.txt", 10));
  EXPECT_NE(SuppressFile::run_name("b.txt", 12), name);
  EXPECT_FALSE(SuppressFile::parse_run_name("sorting.0").has_value());
  EXPECT_FALSE(SuppressFile::parse_run_name(name + ".new").has_value());
}

}  // namespace
}  // namespace sluice
