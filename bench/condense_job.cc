// What condensing a finished job costs: condense_job DIRECTORY ROWS
//
// Makes a spool in DIRECTORY (in a child, so that its memory does not count): segments of a list
// with five columns, about 100 octets a row, 100,000 domains, and journal files of two shards in
// which the verdicts of sixteen segments are mixed, one in fifty rows deferred once before. Then
// condenses the job and prints JSON: octets a row of each, seconds, and the peak of the resident
// memory. Leaves the files there.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/random.h"
#include "engine/base/strings.h"
#include "engine/record/encoder.h"
#include "engine/record/format.h"
#include "engine/ring/gate.h"
#include "engine/ring/uring_io.h"
#include "engine/shard/condense.h"
#include "engine/spool/segment_writer.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr char kJob[] = "big-20261122T100000Z-abcdef";
constexpr uint64_t kDomains = 100'000;
constexpr uint64_t kRowsOfASegment = 65'536;
constexpr uint64_t kSegmentsMixed = 16;
constexpr uint32_t kShards = 2;
constexpr uint64_t kFileBytes = 64UL << 20;
const WallTime kStart = from_unix_seconds(1'795'341'600);

void write_segment(const SpoolPaths& spool, SegmentNumber number, uint64_t first, uint64_t rows,
                   Random& random) {
  SegmentBuilder builder(5, 0, Limits());
  for (uint64_t i = first; i < first + rows; ++i) {
    const std::string local = "recipient" + std::to_string(i);
    const std::string domain = "d" + std::to_string(random.below(kDomains)) + ".example.com";
    const std::string address = local + "@" + domain;
    const std::string id = std::to_string(random.below(1'000'000'000));
    const std::vector<std::string_view> values = {address, "Anne Marie", "Somebody-Longname",
                                                  "Springfield upon Avon", id};
    Row row;
    row.number = i;
    row.address = address;
    row.local_part = local;
    row.domain = domain;
    row.values = values;
    builder.add(row);
  }
  SegmentMeta meta;
  meta.job = kJob;
  meta.number = number;
  meta.row_begin = first;
  meta.row_end = first + rows;
  meta.columns = {"email", "first_name", "last_name", "city", "customer_id"};
  std::string octets;
  builder.finish(meta, octets);
  std::ofstream(JobPaths(spool.active_job(kJob)).segment(number), std::ios::binary) << octets;
}

class JournalFiles {
 public:
  JournalFiles(const SpoolPaths& spool, uint32_t shard) : spool_(spool), shard_(shard) { begin(); }
  ~JournalFiles() { frame(); }

  void add(SegmentNumber segment, SegmentRow row, State state, uint32_t number, Random& random,
           WallTime at) {
    Verdict verdict;
    verdict.state = state;
    char id[16];
    std::snprintf(id, sizeof id, "%010lX", random.next() & 0xFFFFFFFFFF);
    verdict.reply = {250, {2, 0, 0}, std::string("Ok: queued as ") + id};
    if (state == State::kDeferred) verdict.reply = {451, {4, 7, 1}, "greylisted, try again later"};
    verdict.command = ".";
    Attempt attempt;
    attempt.number = number;
    attempt.at = at;
    attempt.first_at = at - std::chrono::milliseconds(80 + random.below(40));
    attempt.next_at = at + std::chrono::minutes(20);
    attempt.size = 10'000 + random.below(100);
    attempt.site = attempt.exchanger = "mx" + std::to_string(random.below(500)) + ".example.com";
    attempt.peer = {*parse_ip("192.0.2.7"), 25};
    attempt.source = "s1";
    attempt.sender = "bounce@example.com";
    attempt.session = random.below(20'000);
    encoder_.verdict(records_, kJob, {0, segment, row}, verdict, attempt);
    if (records_.size() >= 16'384) frame();
    if (bytes_ >= kFileBytes) begin();
  }

 private:
  void begin() {
    file_.close();
    const std::string header = encode(JournalFileHeader{shard_, ++number_, kStart});
    encoder_.begin_file(kStart);
    seed_ = seed_of(header);
    file_.open(spool_.journal + "/" + journal_file_name(shard_, number_), std::ios::binary);
    file_ << header;
    bytes_ = header.size();
  }
  void frame() {
    if (records_.empty()) return;
    std::string header(kFrameHeaderBytes, '\0');
    put_frame_header(header.data(), records_, seed_, bytes_);
    file_ << header << records_;
    bytes_ += header.size() + records_.size();
    records_.clear();
  }

  const SpoolPaths& spool_;
  const uint32_t shard_;
  uint32_t number_ = 0;
  std::ofstream file_;
  JournalEncoder encoder_;
  std::string records_;
  uint32_t seed_ = 0;
  uint64_t bytes_ = 0;
};

void make_spool(const SpoolPaths& spool, uint64_t rows) {
  Random random(7);
  for (const std::string& path : {spool.active, spool.done, spool.journal}) {
    fs::create_directories(path);
  }
  fs::create_directories(JobPaths(spool.active_job(kJob)).segments);
  std::vector<std::unique_ptr<JournalFiles>> journals;
  for (uint32_t shard = 0; shard < kShards; ++shard) {
    journals.push_back(std::make_unique<JournalFiles>(spool, shard));
  }
  const uint64_t segments = (rows + kRowsOfASegment - 1) / kRowsOfASegment;
  WallTime at = kStart + std::chrono::seconds(1);
  for (uint64_t first = 0; first < segments; first += kSegmentsMixed) {
    std::vector<RowPlace> order;
    for (uint64_t s = first; s < std::min(segments, first + kSegmentsMixed); ++s) {
      const uint64_t count = std::min(kRowsOfASegment, rows - s * kRowsOfASegment);
      const auto number = static_cast<SegmentNumber>(s);
      write_segment(spool, number, 1 + s * kRowsOfASegment, count, random);
      for (uint64_t i = 0; i < count; ++i) order.push_back({number, static_cast<SegmentRow>(i)});
    }
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    for (const RowPlace& row : order) {
      at += std::chrono::microseconds(50);
      JournalFiles& journal = *journals[random.below(kShards)];
      const bool deferred = random.below(50) == 0;
      if (deferred) journal.add(row.segment, row.row, State::kDeferred, 1, random, at);
      journal.add(row.segment, row.row, State::kDelivered, deferred ? 2 : 1, random, at);
    }
  }
}

uint64_t octets_below(const std::string& path) {
  uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  return bytes;
}

double memory_mib(const char* key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key))
      return std::strtod(line.c_str() + line.find(':') + 1, nullptr) / 1024;
  }
  return 0;
}

Task<> keep(Task<Status> task, Status& status, bool& done) {
  status = co_await std::move(task);
  done = true;
}

int condense(const SpoolPaths& spool, uint64_t rows) {
  auto io = UringIo::create({.operations_max = 64, .seed = 1});
  CHECK(io.ok());
  Loop loop(**io, LoopOptions{});
  Executor::Scope scope(loop.executor());
  Gate gate;
  JournalJobs jobs;
  const std::string directory = spool.active_job(kJob);
  const double before_mib = memory_mib("VmHWM");
  Condenser condenser(loop, spool, jobs, [] { return false; }, CondenseLimits(),
                      {kJob, directory, rows});
  Status status;
  bool done = false;
  gate.spawn(keep(condenser.run(), status, done));
  const auto begin = std::chrono::steady_clock::now();
  timespec cpu_before{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu_before);
  while (!done) loop.turn();
  timespec cpu{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
  loop.turn(loop.now());
  if (!status.ok()) {
    std::fprintf(stderr, "condense_job: %s\n", message_of(status).c_str());
    return 1;
  }
  const auto a_row = [rows](uint64_t octets) {
    return static_cast<double>(octets) / static_cast<double>(rows);
  };
  const double cpu_seconds = static_cast<double>(cpu.tv_sec - cpu_before.tv_sec) +
                             static_cast<double>(cpu.tv_nsec - cpu_before.tv_nsec) / 1e9;
  std::printf(
      "{\"rows\":%lu,\"segments_octets_a_row\":%.1f,\"journal_octets_a_row\":%.1f,"
      "\"outcomes_octets_a_row\":%.1f,\"seconds\":%.2f,\"cpu_seconds\":%.2f,\"passes\":%u,"
      "\"peak_mib_before\":%.1f,\"peak_mib\":%.1f}\n",
      condenser.stats().rows, a_row(octets_below(JobPaths(directory).segments)),
      a_row(octets_below(spool.journal)), a_row(condenser.stats().bytes), wall.count(), cpu_seconds,
      condenser.stats().passes, before_mib, memory_mib("VmHWM"));
  return 0;
}

int run(int count, char** arguments) {
  const auto rows = count == 3 ? parse_decimal(arguments[2]) : std::nullopt;
  if (!rows || *rows == 0) {
    std::fprintf(stderr, "usage: condense_job DIRECTORY ROWS\n");
    return 64;
  }
  const SpoolPaths spool(arguments[1]);
  if (!fs::exists(spool.active_job(kJob))) {
    const pid_t child = ::fork();
    if (child == 0) {
      make_spool(spool, *rows);
      std::_Exit(0);
    }
    int ended = 0;
    if (child < 0 || ::waitpid(child, &ended, 0) != child || ended != 0) {
      std::fprintf(stderr, "condense_job: the spool could not be made\n");
      return 1;
    }
  }
  fs::remove(JobPaths(spool.active_job(kJob)).outcomes);
  return condense(spool, *rows);
}

}  // namespace
}  // namespace sluice

int main(int count, char** arguments) { return sluice::run(count, arguments); }
