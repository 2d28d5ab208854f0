#include "tests/sim/scene.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/config/configuration_file.h"
#include "engine/spool/job_directory.h"

namespace sluice::sim {
namespace {

// Steps without time passing that no honest work takes.
constexpr uint64_t kStepsOfMomentMax = 1'000'000;

World* t_logging = nullptr;

void take_line(LogLevel level, const std::string& line) {
  if (t_logging != nullptr)
    t_logging->note("log " + std::to_string(static_cast<int>(level)) + " " + line);
}

Configuration parse(const SceneOptions& options) {
  std::string text = "[spool]\npath = \"" + std::string(Scene::kSpool) +
                     "\"\n[smtp]\nhello = \"mta.sim\"\nallowed_networks = [\"10.0.0.0/8\"]\n";
  if (!options.shaping.empty()) text += "[shaping]\nfiles = [\"shaping.toml\"]\n";
  text += options.config;
  const FileReader read = [&](const std::string&) -> StatusOr<std::string> {
    return options.shaping;
  };
  StatusOr<Configuration> config = parse_configuration(text, "/etc/sluice.toml", read);
  if (!config.ok()) ADD_FAILURE() << message_of(config.status());
  CHECK(config.ok());
  config->engine.shards = options.shards;
  return std::move(*config);
}

}  // namespace

Scene::Scene(SceneOptions options)
    : world(options.seed),
      network(world),
      disk(std::make_shared<Disk>()),
      options_(std::move(options)),
      config_(parse(options_)) {
  disk->put_directory(kSpool);
  disk->put_directory(std::string(kSpool) + "/incoming");
  t_logging = &world;
  set_log_sink(take_line, LogLevel::kInfo);
}

Scene::~Scene() {
  t_logging = nullptr;
  process_.reset();
  set_log_sink(nullptr, LogLevel::kError);
}

IpAddress Scene::address(uint8_t host) {
  IpAddress ip;
  ip.octets = {10, 0, 0, host};
  return ip;
}

Receiver& Scene::receiver(uint8_t host, ReceiverRules rules) {
  receivers_.push_back(std::make_unique<Receiver>(world, network, SocketAddress{address(host), 25},
                                                  std::move(rules)));
  return *receivers_.back();
}

std::map<std::string, uint32_t> Scene::times_taken() const {
  std::map<std::string, uint32_t> out;
  for (const auto& receiver : receivers_) {
    for (const Receiver::Delivery& delivery : receiver->deliveries()) ++out[delivery.recipient];
  }
  return out;
}

uint32_t Scene::misdirected() const {
  uint32_t sum = 0;
  for (const auto& receiver : receivers_) sum += receiver->misdirected();
  return sum;
}

void Scene::drop_job(const std::string& name, const std::vector<std::string>& recipients,
                     const std::string& send) {
  const std::string directory = SpoolPaths(kSpool).incoming_job(name);
  std::string list = "email,name\r\n";
  for (size_t i = 0; i < recipients.size(); ++i) {
    list += recipients[i] + ",Name " + std::to_string(i) + "\r\n";
  }
  disk->put(directory + "/list.csv", list);
  disk->put(directory + "/body.txt", "Hello {{name}},\r\n\r\nthis is for {{email}}.\r\n");
  disk->put(directory + "/job.toml",
            "name = \"" + name +
                "\"\nfrom = \"News <news@example.org>\"\nsubject = \"Hello {{name}}\"\n"
                "[message]\ntext = \"body.txt\"\n[list]\nfile = \"list.csv\"\n"
                "[headers]\nX-Recipient = \"{{email}}\"\n[send]\n" +
                send);
  jobs_[name] = static_cast<int64_t>(recipients.size());
}

void Scene::start() {
  CHECK(process_ == nullptr);
  taken_so_far_.clear();
  world.note("start");
  process_ = std::make_unique<Process>(world, network, zones, disk, config_, options_.limits);
}

void Scene::crash() {
  CHECK(process_ != nullptr);
  world.note("crash");
  std::shared_ptr<Disk> left = disk->after_crash(world.random());
  left->fault = disk->fault;
  disk->fault = nullptr;
  t_logging = nullptr;
  process_.reset();
  t_logging = &world;
  disk = std::move(left);
}

bool Scene::run_until(const std::function<bool()>& done, Duration at_most) {
  const Instant deadline = world.now() + at_most;
  uint64_t steps_of_moment = 0;
  while (!done()) {
    ++steps_;
    if (++steps_of_moment > kStepsOfMomentMax) {
      ADD_FAILURE() << "invariant 5, seed " << options_.seed << ": busy without end at "
                    << world.age().count() << " ns";
      return false;
    }
    // What happens at the same moment happens in any order.
    const bool event_due = world.next_event() <= world.now();
    if (event_due && world.random().below(2) == 0) {
      world.run_due();
      continue;
    }
    if (process_ && process_->step()) {
      check();
      continue;
    }
    if (world.run_due()) continue;
    Instant next = world.next_event();
    if (process_) next = std::min(next, process_->next_wake());
    if (next > deadline) {
      if (deadline > world.now() && world.next_event() >= deadline) world.advance_to(deadline);
      return done();
    }
    if (next > world.now()) steps_of_moment = 0;
    world.advance_to(next);
  }
  return true;
}

bool Scene::run_for(Duration time) {
  run_until([] { return false; }, time);
  return true;
}

bool Scene::jobs_are_done() const {
  const NodePtr done = disk->find(SpoolPaths(kSpool).done);
  return done && done->names.size() >= jobs_.size();
}

bool Scene::a_job_was_refused() const {
  const NodePtr failed = disk->find(SpoolPaths(kSpool).failed);
  return failed && !failed->names.empty();
}

bool Scene::run_jobs(Duration at_most) {
  return run_until([this] { return jobs_are_done(); }, at_most);
}

JobSummary Scene::summary(const std::string& name) const {
  const NodePtr done = disk->find(SpoolPaths(kSpool).done);
  CHECK(done != nullptr);
  for (const auto& [id, node] : done->names) {
    if (id.compare(0, name.size() + 1, name + "-") != 0) continue;
    const StatusOr<JobSummary> summary =
        parse_summary(disk->text(SpoolPaths(kSpool).done_job(id) + "/summary.json"));
    CHECK(summary.ok());
    return *summary;
  }
  return {};
}

// Invariant 1: the ten counts add up to the rows taken, always; none is below zero; what was taken
// stays taken; and the sum is the list's once the list is taken.
void Scene::check() {
  for (const JobStatus& job : process_->jobs()) {
    if (job.phase == "failed") continue;
    const int64_t total = job.counts.total();
    int64_t least = 0;
    for (const int64_t count : job.counts.states) least = std::min(least, count);
    const auto rows = jobs_.find(job.name);
    int64_t& so_far = taken_so_far_[job.id];
    const bool whole = job.phase == "sending" || job.phase == "done";
    const bool fits =
        rows != jobs_.end() && total <= rows->second && (!whole || total == rows->second);
    if (least < 0 || total < so_far || !fits) {
      ADD_FAILURE() << "invariant 1, seed " << options_.seed << ": job " << job.id << " in phase "
                    << job.phase << " counts " << total << " rows after " << so_far
                    << ", least count " << least;
    }
    so_far = std::max(so_far, total);
  }
}

std::vector<std::string> recipients_over(uint32_t count, uint32_t domains) {
  std::vector<std::string> out;
  for (uint32_t i = 0; i < count; ++i) {
    out.push_back("user" + std::to_string(i) + "@example" + std::to_string(i % domains) + ".test");
  }
  return out;
}

}  // namespace sluice::sim
