#include "engine/spool/job_files.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "engine/base/strings.h"
#include "engine/spool/job_directory.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kProgressVersion = 1;

// Untrusted octets may stand in strings: what is not UTF-8 is replaced, never thrown at.
std::string text_of(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

// Takes the fields of a JSON object and remembers the first that was missing or wrong.
class Fields {
 public:
  Fields(const char* file, std::string_view text)
      : file_(file), json_(Json::parse(text, nullptr, /*allow_exceptions=*/false)) {
    if (!json_.is_object()) problem_ = "it is no JSON object";
  }

  bool has(const char* key) const { return json_.is_object() && json_.contains(key); }
  uint64_t number(const char* key) {
    const Json* value = find(key);
    if (value == nullptr) return 0;
    if (!value->is_number_unsigned()) return wrong(key, "a whole number"), 0;
    return value->get<uint64_t>();
  }
  int64_t count(const char* key) {
    const uint64_t value = number(key);
    if (value > INT64_MAX) return wrong(key, "a count"), 0;
    return static_cast<int64_t>(value);
  }
  bool flag(const char* key) {
    const Json* value = find(key);
    if (value == nullptr) return false;
    if (!value->is_boolean()) return wrong(key, "true or false"), false;
    return value->get<bool>();
  }
  std::string text(const char* key) {
    const Json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_string()) return wrong(key, "a text"), std::string();
    return value->get<std::string>();
  }
  WallTime time(const char* key) {
    const auto value = parse_utc(text(key));
    if (!value.has_value()) return wrong(key, "a time like 2026-12-01T08:00:00Z"), WallTime();
    return *value;
  }
  void wrong(const char* key, const char* wanted) {
    if (problem_.empty()) problem_ = std::string("\"") + key + "\" is not " + wanted;
  }
  Status status() const {
    if (problem_.empty()) return absl::OkStatus();
    return io_error(std::string(file_) + ": " + problem_ + "; the file is damaged");
  }

 private:
  const Json* find(const char* key) {
    if (!problem_.empty()) return nullptr;
    const auto at = json_.find(key);
    if (at != json_.end()) return &*at;
    problem_ = std::string("\"") + key + "\" is missing";
    return nullptr;
  }

  const char* const file_;
  const Json json_;
  std::string problem_;
};

// RFC 4180: quoted where it must be.
void append_csv(std::string& out, std::string_view value) {
  if (value.find_first_of(",;\t\"\r\n") == std::string_view::npos) {
    out += value;
    return;
  }
  out += '"';
  for (const char c : value) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

}  // namespace

std::string progress_text(const IntakeProgress& progress) {
  Json json;
  json["version"] = kProgressVersion;
  json["job"] = progress.job;
  json["next_segment"] = progress.next_segment;
  json["row"] = progress.position.row;
  json["line"] = progress.position.line;
  json["offset"] = progress.position.offset;
  json["taken"] = progress.taken;
  json["rejected"] = progress.rejected;
  json["suppressed"] = progress.suppressed;
  json["duplicate"] = progress.duplicate;
  json["finished"] = progress.finished;
  return text_of(json);
}

StatusOr<IntakeProgress> parse_progress(std::string_view text) {
  Fields fields("progress", text);
  if (fields.number("version") != kProgressVersion) {
    fields.wrong("version", "1: another version of the program wrote it");
  }
  IntakeProgress progress;
  progress.job = fields.text("job");
  const uint64_t next_segment = fields.number("next_segment");
  if (next_segment > UINT32_MAX) fields.wrong("next_segment", "a number of a segment");
  progress.next_segment = static_cast<SegmentNumber>(next_segment);
  progress.position.row = fields.number("row");
  progress.position.line = fields.number("line");
  progress.position.offset = fields.number("offset");
  progress.taken = fields.number("taken");
  progress.rejected = fields.number("rejected");
  progress.suppressed = fields.number("suppressed");
  progress.duplicate = fields.number("duplicate");
  progress.finished = fields.flag("finished");
  if (progress.taken + progress.rejected + progress.suppressed + progress.duplicate !=
      progress.position.row) {
    fields.wrong("row", "the sum of taken, rejected, suppressed and duplicate");
  }
  RETURN_IF_ERROR(fields.status());
  return progress;
}

void append_rejected(std::string& out, uint64_t row, uint64_t line, std::string_view address,
                     std::string_view reason) {
  out += std::to_string(row);
  out += ',';
  out += std::to_string(line);
  out += ',';
  append_csv(out, escaped(address));
  out += ',';
  append_csv(out, escaped(reason));
  out += "\r\n";
}

std::string summary_json(const JobSummary& summary) {
  Json json;
  json["job"] = summary.job;
  json["name"] = summary.name;
  json["total"] = summary.counts.total();
  for (size_t i = 0; i < kStates; ++i) {
    json[std::string(kStateNames[i])] = summary.counts.states[i];
  }
  json["attempts"] = summary.counts.attempts;
  json["maybe_delivered"] = summary.counts.maybe_delivered;
  json["stale"] = summary.counts.stale;
  json["bytes"] = summary.counts.bytes;
  json["created"] = format_utc(summary.created);
  json["finished"] = format_utc(summary.finished);
  return text_of(json);
}

StatusOr<JobSummary> parse_summary(std::string_view text) {
  Fields fields("summary.json", text);
  JobSummary summary;
  summary.job = fields.text("job");
  summary.name = fields.text("name");
  for (size_t i = 0; i < kStates; ++i) {
    summary.counts.states[i] = fields.count(std::string(kStateNames[i]).c_str());
  }
  summary.counts.attempts = fields.count("attempts");
  summary.counts.maybe_delivered = fields.count("maybe_delivered");
  summary.counts.stale = fields.has("stale") ? fields.count("stale") : 0;  // newer than the rest
  summary.counts.bytes = fields.count("bytes");
  summary.created = fields.time("created");
  summary.finished = fields.time("finished");
  RETURN_IF_ERROR(fields.status());
  return summary;
}

std::string error_text(std::string_view job, const Status& error, WallTime now) {
  return "Job " + escaped(job) + " was refused at " + format_utc(now) +
         "; nothing of it was sent.\n\n" + message_of(error) +
         "\n\nMend it and drop the job into incoming/ again.\n";
}

}  // namespace sluice
