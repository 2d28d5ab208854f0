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
constexpr uint64_t kStepsOfMomentMax = 200'000;

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
      witness(world, network, kSpool, options.seed),
      options_(std::move(options)),
      config_(parse(options_)) {
  disk->put_directory(kSpool);
  disk->put_directory(std::string(kSpool) + "/incoming");
  watch_disk();
  network.dialled = [this](const Line& line) { witness.on_dial(line); };
  network.opened = [this](const Line& line) { witness.on_line(line); };
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
  receivers_.back()->witness = &witness;
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
                     const std::string& send, const std::string& list_lines) {
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
                "[message]\ntext = \"body.txt\"\n[list]\nfile = \"list.csv\"\n" +
                list_lines + "[headers]\nX-Recipient = \"{{email}}\"\n[send]\n" + send);
  jobs_.insert(name);
  witness.expect_job(name, static_cast<int64_t>(recipients.size()), recipients);
}

void Scene::start() {
  CHECK(process_ == nullptr);
  world.note("start");
  witness.on_start();
  process_ = std::make_unique<Process>(world, network, zones, disk, config_, options_.limits,
                                       options_.turn_cost);
}

void Scene::crash() {
  world.note("crash");
  take_down();
  witness.on_crash(*disk);
}

// What was not synced may be gone.
void Scene::take_down() {
  CHECK(process_ != nullptr);
  std::shared_ptr<Disk> left = disk->after_crash(world.random());
  left->fault = std::exchange(disk->fault, nullptr);
  disk->synced = nullptr;
  t_logging = nullptr;
  process_.reset();
  t_logging = &world;
  disk = std::move(left);
  watch_disk();
}

void Scene::watch_disk() {
  disk->synced = [this](const std::string& path) { witness.on_synced(*disk, path); };
}

void Scene::reload() {
  world.note("reload");
  process_->reload(config_.shaping, config_.retry);
}

void Scene::reload(const std::string& shaping) {
  options_.shaping = shaping;
  config_ = parse(options_);
  reload();
}

bool Scene::drain(Duration timeout) {
  world.note("drain");
  // Commits of what was answered at the deadline are on their way still.
  const Duration grace = std::chrono::seconds(1) + 10 * disk->sync_max;
  witness.on_drain(timeout);
  process_->drain(timeout);
  const bool ended = run_until([this] { return process_->stopped(); }, timeout + grace);
  if (!ended && !witness.broken()) witness.violate(11, "a drain does not end");
  // What a failed disk did not take is lost, however gently it ends.
  if (process_->halted()) {
    crash();
    return ended;
  }
  take_down();
  witness.on_end(*disk);
  return ended;
}

bool Scene::run_until(const std::function<bool()>& done, Duration at_most) {
  const Instant deadline = world.now() + at_most;
  uint64_t steps_of_moment = 0;
  while (!done()) {
    if (witness.broken()) return false;
    ++steps_;
    if (++steps_of_moment > kStepsOfMomentMax) {
      witness.violate(5, "busy without end");
      return false;
    }
    // What happens at the same moment happens in any order.
    const bool event_due = world.next_event() <= world.now();
    if (event_due && world.random().below(2) == 0) {
      world.run_due();
      continue;
    }
    if (process_ && process_->step()) {
      witness.on_step(process_->jobs());
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

std::vector<std::string> recipients_over(uint32_t count, uint32_t domains) {
  std::vector<std::string> out;
  for (uint32_t i = 0; i < count; ++i) {
    out.push_back("user" + std::to_string(i) + "@example" + std::to_string(i % domains) + ".test");
  }
  return out;
}

}  // namespace sluice::sim
