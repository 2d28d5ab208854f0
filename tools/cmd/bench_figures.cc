#include "tools/cmd/bench_figures.h"

#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/base/strings.h"
#include "tools/cmd/common.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::ordered_json;

struct FigureName {
  Figure figure;
  const char* key;    // in JSON
  const char* words;  // in the table
  int digits;         // behind the point
  double divisor;     // for the table
};
constexpr double kMebi = 1024.0 * 1024.0;
constexpr std::array<FigureName, 19> kNames = {{
    {Figure::kRate, "messages_per_second", "messages/s at the sink", 0, 1},
    {Figure::kSenderCpu, "sender_cpu_us", "sender's CPU, us a message", 2, 1},
    {Figure::kSinkCpu, "sink_cpu_us", "sink's CPU, us a message", 2, 1},
    {Figure::kSenderBusy, "sender_busy", "sender's share of a core, %", 0, 0.01},
    {Figure::kSinkBusy, "sink_busy", "sink's share of a core, %", 0, 0.01},
    {Figure::kOthers, "others_busy", "others' share of the sender's core, %", 0, 0.01},
    {Figure::kEnters, "system_calls", "system calls a message", 3, 1},
    {Figure::kAllocations, "allocations", "allocations a message", 2, 1},
    {Figure::kWritten, "written_bytes", "octets written to files a message", 0, 1},
    {Figure::kJournal, "journal_bytes", "octets of journal a message", 1, 1},
    {Figure::kSyncs, "syncs_per_thousand", "fdatasyncs per 1,000 messages", 2, 1},
    {Figure::kAnsweredMedian, "answered_p50_ms", "taken to answered, ms, median", 2, 1},
    {Figure::kAnsweredHigh, "answered_p99_ms", "taken to answered, ms, 99 %", 2, 1},
    {Figure::kRecordedMedian, "recorded_p50_ms", "taken to recorded, ms, median", 2, 1},
    {Figure::kRecordedHigh, "recorded_p99_ms", "taken to recorded, ms, 99 %", 2, 1},
    {Figure::kConnections, "connections", "connections opened", 0, 1},
    {Figure::kConnectionsPeak, "connections_peak", "connections at a time", 0, 1},
    {Figure::kMemory, "sender_memory_bytes", "sender's peak memory, MiB", 1, kMebi},
    {Figure::kContent, "content_bytes", "octets of a message", 0, 1},
}};

std::string fixed(double value, int digits) {
  if (digits == 0) return grouped(static_cast<uint64_t>(std::llround(std::max(value, 0.0))));
  std::array<char, 64> text;
  const int length = std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return std::string(text.data(), static_cast<size_t>(length));
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string processor_model() {
  std::ifstream lines("/proc/cpuinfo");
  std::string line;
  while (std::getline(lines, line)) {
    const size_t colon = line.find(':');
    if (line.compare(0, 10, "model name") == 0 && colon != std::string::npos) {
      return std::string(trim(std::string_view(line).substr(colon + 1)));
    }
  }
  return {};
}

// The commit that is checked out here, with "+" when files differ from it.
std::string commit_here() {
  std::string commit;
  std::FILE* pipe = ::popen(
      "git rev-parse --short=12 HEAD 2>/dev/null && git diff --quiet HEAD 2>/dev/null || echo +",
      "r");
  if (pipe == nullptr) return commit;
  std::array<char, 128> line;
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) commit += trim(line.data());
  ::pclose(pipe);
  return commit == "+" ? std::string() : commit;
}

std::string file_system_of(const std::string& path) {
  struct statfs there {};
  if (::statfs(path.c_str(), &there) != 0) return {};
  switch (static_cast<uint32_t>(there.f_type)) {
    case 0xEF53:
      return "ext4";
    case 0x58465342:
      return "xfs";
    case 0x9123683E:
      return "btrfs";
    case 0x01021994:
      return "tmpfs";
    case 0x794C7630:
      return "overlayfs";
    default:
      break;
  }
  std::array<char, 32> number;
  std::snprintf(number.data(), number.size(), "type %lx", static_cast<unsigned long>(there.f_type));
  return number.data();
}

std::string time_now() {
  std::array<char, 32> text;
  const std::time_t now = static_cast<std::time_t>(unix_seconds(wall_now()));
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Json figures_json(const BenchFigures& figures) {
  Json json = Json::object();
  for (const FigureName& name : kNames) {
    const auto found = figures.values.find(name.figure);
    if (found != figures.values.end()) json[name.key] = std::round(found->second * 1e4) / 1e4;
  }
  json["sink_full"] = figures.sink_full;
  return json;
}

Json options_json(const BenchOptions& options) {
  Json json = {{"messages", options.messages},
               {"rtt_ms", std::chrono::duration<double, std::milli>(options.rtt).count()},
               {"connections", options.connections},
               {"per_connection", options.per_connection},
               {"size", options.size},
               {"domains", options.domains},
               {"zipf", options.zipf},
               {"exchangers", options.exchangers},
               {"shards", options.shards},
               {"runs", options.runs},
               {"cores", nullptr}};
  if (options.cores) json["cores"] = {options.cores->sender, options.cores->sink};
  return json;
}

std::string headline(const BenchOptions& options, const BenchMachine& machine) {
  std::string text = grouped(options.messages) + " messages of about " + grouped(options.size) +
                     " octets to " + grouped(options.domains) + " domains behind " +
                     grouped(options.exchangers) + " exchanger" +
                     (options.exchangers == 1 ? "" : "s") + ", " + grouped(options.connections) +
                     " connections each";
  if (options.per_connection > 0) {
    text += " of at most " + grouped(options.per_connection) + " messages";
  }
  if (options.rtt.count() > 0) text += ", RTT " + fixed(to_seconds(options.rtt) * 1e3, 1) + " ms";
  text += "\n" + machine.model + ", " + std::to_string(machine.cores) + " cores, Linux " +
          machine.kernel + ", spool on " + machine.spool_on + ", load " + machine.load;
  if (!machine.commit.empty()) text += ", commit " + machine.commit;
  if (!options.cores) {
    text += "\nsender and sink are not pinned";
  } else if (options.shards > 1) {
    text += "\nsender not pinned, sink on core " + std::to_string(options.cores->sink);
  } else {
    text += "\nsender on core " + std::to_string(options.cores->sender) + ", sink on core " +
            std::to_string(options.cores->sink);
  }
  if (!options.unpinned_reason.empty()) text += ": " + options.unpinned_reason;
  if (options.runs > 1) text += "; medians of " + std::to_string(options.runs) + " runs";
  return text + "\n\n";
}

}  // namespace

BenchFigures BenchResult::median() const {
  BenchFigures result;
  for (const FigureName& name : kNames) {
    std::vector<double> values;
    for (const BenchFigures& run : runs) {
      const auto found = run.values.find(name.figure);
      if (found != run.values.end()) values.push_back(found->second);
    }
    if (!values.empty()) result.values[name.figure] = median_of(std::move(values));
  }
  const auto full = std::count_if(runs.begin(), runs.end(),
                                  [](const BenchFigures& run) { return run.sink_full; });
  result.sink_full = static_cast<size_t>(full) * 2 > runs.size();
  return result;
}

BenchMachine bench_machine(const std::string& spool) {
  BenchMachine machine;
  machine.model = processor_model();
  machine.cores = ::sysconf(_SC_NPROCESSORS_ONLN);
  machine.memory = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                   static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  utsname system{};
  if (::uname(&system) == 0) machine.kernel = system.release;
  machine.commit = commit_here();
  const std::string load = first_line("/proc/loadavg");
  machine.load = load.substr(0, load.find(' ', load.find(' ', load.find(' ') + 1) + 1));
  machine.time = time_now();
  machine.spool_on = file_system_of(spool);
  return machine;
}

std::string bench_table(const BenchOptions& options, const BenchMachine& machine,
                        const std::vector<BenchResult>& results) {
  std::vector<std::string> titles = {"figure"};
  std::vector<BenchFigures> columns;
  for (const BenchResult& result : results) {
    titles.push_back(">" + std::string(name_of(result.mode)));
    columns.push_back(result.median());
  }
  Table table(titles);
  for (const FigureName& name : kNames) {
    std::vector<std::string> cells = {name.words};
    bool known = false;
    for (const BenchFigures& column : columns) {
      const auto found = column.values.find(name.figure);
      known = known || found != column.values.end();
      cells.push_back(
          found == column.values.end() ? "-" : fixed(found->second / name.divisor, name.digits));
    }
    if (known) table.add(cells);
  }
  std::string text = headline(options, machine) + table.text();
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].sink_full) {
      text += std::string(name_of(results[i].mode)) +
              ": the sink's core is full, so the sender might do more\n";
    }
  }
  return text;
}

std::string bench_json(const BenchOptions& options, const BenchMachine& machine,
                       const BenchResult& result) {
  Json json = {{"time", machine.time},
               {"commit", machine.commit.empty() ? Json(nullptr) : Json(machine.commit)},
               {"machine",
                {{"model", machine.model},
                 {"cores", machine.cores},
                 {"memory_bytes", machine.memory},
                 {"kernel", machine.kernel},
                 {"load", machine.load},
                 {"spool_on", machine.spool_on}}},
               {"mode", name_of(result.mode)},
               {"options", options_json(options)},
               {"median", figures_json(result.median())},
               {"runs", Json::array()}};
  for (const BenchFigures& run : result.runs) json["runs"].push_back(figures_json(run));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace sluice::tools
