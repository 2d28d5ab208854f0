// `sluice record-cat`: the journal, or a finished job's outcomes, in words or as JSON lines.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/strings.h"
#include "engine/record/format.h"
#include "engine/record/outcome_file.h"
#include "engine/record/parser.h"
#include "engine/spool/job_directory.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"
#include "tools/cmd/job_rows.h"
#include "tools/cmd/spool_jobs.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kReadBytes = 256UL << 10;
constexpr std::array<const char*, kJobEvents> kEventNames = {"paused", "resumed", "cancelled",
                                                             "finished"};
constexpr std::array<const char*, 6> kScopeNames = {"recipient", "message", "connection",
                                                    "exchanger", "site",    "source"};

struct RecordCatOptions {
  PlaceOptions places;
  std::string path;
  std::string job;
  bool json = false;
};

template <typename Names, typename Value>
std::string name_in(const Names& names, Value value) {
  const auto at = static_cast<size_t>(value);
  return at < names.size() ? names[at] : "unknown";
}

std::string peer_words(const JournalEntry& entry) {
  return entry.peer.port == 0 ? "" : to_string(entry.peer);
}

std::string verdict_words(const JournalEntry& entry) {
  std::string out = format_utc(entry.at) + " " + escaped(entry.job) + " " +
                    std::to_string(entry.segment) + "/" + std::to_string(entry.row) + " " +
                    std::string(name_of(entry.state));
  if (entry.code != 0) out += " " + std::to_string(entry.code);
  if (entry.enhanced.present()) out += " " + to_string(entry.enhanced);
  out += " \"" + escaped(entry.text) + "\"";
  if (!entry.command.empty()) out += " to " + escaped(entry.command);
  out += ", attempt " + std::to_string(entry.attempts);
  if (!entry.exchanger.empty()) out += ", exchanger " + escaped(entry.exchanger);
  if (entry.peer.port != 0) out += " [" + peer_words(entry) + "]";
  if (!entry.site.empty()) out += ", site " + escaped(entry.site);
  if (!entry.source.empty()) out += ", source " + escaped(entry.source);
  out += ", sender <" + escaped(entry.sender) + ">, " + grouped(entry.size) + " octets";
  if (entry.maybe_delivered) out += ", maybe delivered";
  if (entry.dns_stale) out += ", by stale DNS";
  if (entry.state == State::kDeferred) out += ", next " + format_utc(entry.next_at);
  return out + "\n";
}

std::string entry_words(const JournalEntry& entry) {
  if (entry.kind == JournalEntry::Kind::kVerdict) return verdict_words(entry);
  return format_utc(entry.at) + " " + escaped(entry.job) + " job " +
         name_in(kEventNames, entry.event) + "\n";
}

std::string entry_json(const JournalEntry& entry, const std::string& file) {
  Json json;
  const auto add_text = [&json](const char* key, std::string_view text) {
    json[key] = text.empty() ? Json() : Json(std::string(text));
  };
  const bool verdict = entry.kind == JournalEntry::Kind::kVerdict;
  json["type"] = verdict ? "verdict" : "job";
  json["file"] = file;
  json["at"] = format_utc(entry.at);
  json["job"] = std::string(entry.job);
  if (!verdict) {
    json["event"] = name_in(kEventNames, entry.event);
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  json["segment"] = entry.segment;
  json["segment_row"] = entry.row;
  json["state"] = std::string(name_of(entry.state));
  json["scope"] = name_in(kScopeNames, entry.scope);
  json["maybe_delivered"] = entry.maybe_delivered;
  json["dns_stale"] = entry.dns_stale;
  json["code"] = entry.code == 0 ? Json() : Json(entry.code);
  add_text("enhanced", to_string(entry.enhanced));
  add_text("response", escaped(entry.text));
  add_text("command", entry.command);
  json["attempts"] = entry.attempts;
  json["first_at"] = format_utc(entry.first_at);
  json["next_at"] = entry.state == State::kDeferred ? Json(format_utc(entry.next_at)) : Json();
  json["size"] = entry.size;
  add_text("site", entry.site);
  add_text("exchanger", entry.exchanger);
  add_text("peer", peer_words(entry));
  add_text("source", entry.source);
  json["sender"] = std::string(entry.sender);
  json["session"] = entry.session;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// A journal file of which the octets come bit by bit.
class JournalPrinter {
 public:
  JournalPrinter(std::string file, const RecordCatOptions& options)
      : file_(std::move(file)), options_(options), parser_(file_) {}

  Status run(int descriptor) {
    std::string octets(kReadBytes, '\0');
    while (true) {
      const ssize_t count = ::read(descriptor, octets.data(), octets.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return io_error("cannot read " + file_ + ": " + std::strerror(errno));
      if (count == 0) {
        parser_.end();
      } else {
        parser_.feed(std::string_view(octets).substr(0, static_cast<size_t>(count)));
      }
      RETURN_IF_ERROR(print_entries());
      if (count == 0) return {};
    }
  }

 private:
  Status print_entries() {
    JournalEntry entry;
    std::string out;
    auto step = JournalParser::Step::kMore;
    while ((step = parser_.next(entry)) == JournalParser::Step::kEntry) {
      if (!options_.json && !titled_) out += title();
      titled_ = true;
      if (!options_.job.empty() && entry.job != options_.job) continue;
      out += options_.json ? entry_json(entry, file_) : entry_words(entry);
    }
    RETURN_IF_ERROR(print(out));
    if (step == JournalParser::Step::kCorrupt) return parser_.status();
    if (step == JournalParser::Step::kEnd && parser_.torn()) {
      std::fprintf(stderr,
                   "sluice: %s: what stands behind octet %s was not written whole and does not "
                   "count\n",
                   file_.c_str(), std::to_string(parser_.whole_bytes()).c_str());
    }
    return {};
  }

  std::string title() const {
    const JournalFileHeader& header = parser_.header();
    return "# " + file_ + ": shard " + std::to_string(header.shard) + ", file " +
           std::to_string(header.number) + ", begun " + format_utc(header.created) + "\n";
  }

  const std::string file_;
  const RecordCatOptions& options_;
  JournalParser parser_;
  bool titled_ = false;
};

std::string outcome_words(const OutcomeRow& row) {
  const Outcome& outcome = row.outcome;
  std::string out = "row " + std::to_string(row.number) + " " + escaped(row.address) + " " +
                    std::string(name_of(outcome.state));
  if (outcome.code != 0) out += " " + std::to_string(outcome.code);
  if (outcome.enhanced.present()) out += " " + to_string(outcome.enhanced);
  out += " \"" + escaped(outcome.text) + "\", " + std::to_string(outcome.attempts) + " attempts";
  if (outcome.last_at != WallTime()) {
    out += ", " + format_utc(outcome.first_at) + " to " + format_utc(outcome.last_at);
  }
  if (!outcome.exchanger.empty()) out += ", exchanger " + escaped(outcome.exchanger);
  if (!outcome.site.empty()) out += ", site " + escaped(outcome.site);
  if (!outcome.source.empty()) out += ", source " + escaped(outcome.source);
  if (outcome.maybe_delivered) out += ", maybe delivered";
  if (outcome.dns_stale) out += ", by stale DNS";
  return out + "\n";
}

std::string outcome_json(const OutcomeRow& row, const std::string& file) {
  const Outcome& outcome = row.outcome;
  Json json;
  const auto add_text = [&json](const char* key, std::string_view text) {
    json[key] = text.empty() ? Json() : Json(std::string(text));
  };
  const auto add_time = [&](const char* key, WallTime time) {
    add_text(key, time == WallTime() ? "" : format_utc(time));
  };
  json["type"] = "outcome";
  json["file"] = file;
  json["row"] = row.number;
  json["recipient"] = std::string(row.address);
  json["state"] = std::string(name_of(outcome.state));
  json["maybe_delivered"] = outcome.maybe_delivered;
  json["dns_stale"] = outcome.dns_stale;
  json["code"] = outcome.code == 0 ? Json() : Json(outcome.code);
  add_text("enhanced", to_string(outcome.enhanced));
  add_text("response", escaped(outcome.text));
  json["attempts"] = outcome.attempts;
  add_time("first_at", outcome.first_at);
  add_time("last_at", outcome.last_at);
  add_text("site", escaped(outcome.site));
  add_text("exchanger", escaped(outcome.exchanger));
  add_text("source", outcome.source);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string totals_text(const OutcomeTotals& totals, const std::string& file, bool json) {
  if (!json) {
    return "# " + grouped(totals.rows) + " rows; besides " + grouped(totals.rejected) +
           " rejected, " + grouped(totals.suppressed) + " suppressed, " +
           grouped(totals.duplicate) + " duplicate; " + grouped(totals.texts_left_out) +
           " replies left out\n";
  }
  Json line;
  line["type"] = "totals";
  line["file"] = file;
  line["rows"] = totals.rows;
  line["rejected"] = totals.rejected;
  line["suppressed"] = totals.suppressed;
  line["duplicate"] = totals.duplicate;
  line["replies_left_out"] = totals.texts_left_out;
  return line.dump() + "\n";
}

Status print_outcomes(int descriptor, const std::string& path, const RecordCatOptions& options) {
  std::string out = options.json ? "" : "# " + path + ": the outcomes of a finished job\n";
  const auto each = [&](const OutcomeRow& row) {
    out += options.json ? outcome_json(row, path) : outcome_words(row);
    if (out.size() < kReadBytes) return Status();
    Status printed = print(out);
    out.clear();
    return printed;
  };
  const StatusOr<OutcomeTotals> totals = read_outcome_file(descriptor, path, each);
  if (totals.ok()) out += totals_text(*totals, path, options.json);
  RETURN_IF_ERROR(print(out));
  return totals.status();
}

Status print_file(const std::string& path, const RecordCatOptions& options) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    if (errno == ENOENT) return missing(path + " does not exist");
    return io_error("cannot open " + path + ": " + std::strerror(errno));
  }
  char first[8] = {};
  const ssize_t got = ::pread(descriptor, first, sizeof first, 0);
  const bool outcomes =
      got > 0 && is_outcome_file(std::string_view(first, static_cast<size_t>(got)));
  Status status = outcomes ? print_outcomes(descriptor, path, options)
                           : JournalPrinter(path, options).run(descriptor);
  ::close(descriptor);
  return status;
}

StatusOr<std::vector<std::string>> journal_files(const std::string& directory) {
  ASSIGN_OR_RETURN(const OpenDirectory open, OpenDirectory::open(directory));
  std::vector<std::string> files;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, open.list());
  for (const std::string& name : names) {
    if (parse_journal_file_name(name)) files.push_back(SpoolPaths::child(directory, name));
  }
  if (!files.empty()) return files;
  ASSIGN_OR_RETURN(const std::vector<std::string> inner, open.list("journal"));
  const std::string journal = directory + "/journal/";
  for (const std::string& name : inner) {
    if (parse_journal_file_name(name)) files.push_back(journal + name);
  }
  return files;
}

StatusOr<std::vector<std::string>> files_of(const RecordCatOptions& options) {
  std::string path = options.path;
  if (path.empty()) {
    ASSIGN_OR_RETURN(const Places places, find_places(options.places));
    path = SpoolPaths(places.spool).journal;
  }
  struct stat there {};
  if (::stat(path.c_str(), &there) != 0) {
    return missing(path + ": " + std::strerror(errno) + "; name a journal file or the spool");
  }
  if (!S_ISDIR(there.st_mode)) return std::vector<std::string>{path};
  ASSIGN_OR_RETURN(std::vector<std::string> files, journal_files(path));
  if (files.empty()) std::fprintf(stderr, "sluice: %s has no journal files\n", path.c_str());
  return files;
}

int record_cat(const RecordCatOptions& options) {
  const StatusOr<std::vector<std::string>> files = files_of(options);
  if (!files.ok()) return report_error(files.status());
  int exit_code = kDone;
  for (const std::string& file : *files) {
    const Status status = print_file(file, options);
    if (!status.ok()) exit_code = report_error(status);
  }
  return exit_code;
}

}  // namespace

void add_record_cat(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<RecordCatOptions>();
  CLI::App* command =
      app.add_subcommand("record-cat", "Show the journal, or a finished job's outcomes, in words");
  command->add_option("path", options->path,
                      "A journal file, a directory of them (default: the spool's journal), or the\n"
                      "file outcomes of a finished job");
  options->places.add_to(*command, /*with_socket=*/false);
  command->add_option("--job", options->job, "Only what concerns the job with this id");
  command->add_flag("--json", options->json,
                    "JSON lines: objects of type verdict and job, or outcome");
  command->footer(
      "Rows are named SEGMENT/ROW; spool-cat tells which row of the list that is. A damaged file\n"
      "is shown as far as it can be believed; the exit code is then 74.\n"
      "Example: sluice record-cat spool/journal --json | jq 'select(.state == \"bounced\")'");
  command->callback([options, &exit_code] { exit_code = record_cat(*options); });
}

}  // namespace sluice::tools
