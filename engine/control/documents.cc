#include "engine/control/documents.h"

#include <nlohmann/json.hpp>

#include "engine/spool/job_directory.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json time_of(WallTime time) { return time == WallTime() ? Json() : Json(format_utc(time)); }

Json json_of(const JobStatus& job) {
  Json json;
  json["job"] = job.id;
  json["name"] = job.name;
  json["phase"] = job.phase;
  json["total"] = job.counts.total();
  for (size_t i = 0; i < kStates; ++i) {
    json[std::string(kStateNames[i])] = job.counts.states[i];
  }
  json["attempts"] = job.counts.attempts;
  json["maybe_delivered"] = job.counts.maybe_delivered;
  json["bytes"] = job.counts.bytes;
  json["created"] = time_of(job.created);
  json["finished"] = time_of(job.finished);
  json["error"] = job.error.empty() ? Json() : Json(job.error);
  return json;
}

std::string text_field(const Json& json, const std::string& key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
}

int64_t number_field(const Json& json, const std::string& key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_number_integer() ? at->get<int64_t>() : 0;
}

WallTime time_field(const Json& json, const std::string& key) {
  return parse_utc(text_field(json, key)).value_or(WallTime());
}

Status damaged() {
  return io_error(
      "what came from the admin socket is no answer of sluice; does another program "
      "listen there?");
}

StatusOr<JobStatus> job_of(const Json& json) {
  if (!json.is_object() || text_field(json, "job").empty()) return damaged();
  JobStatus job;
  job.id = text_field(json, "job");
  job.name = text_field(json, "name");
  job.phase = text_field(json, "phase");
  for (size_t i = 0; i < kStates; ++i) {
    job.counts.states[i] = number_field(json, std::string(kStateNames[i]));
  }
  job.counts.attempts = number_field(json, "attempts");
  job.counts.maybe_delivered = number_field(json, "maybe_delivered");
  job.counts.bytes = number_field(json, "bytes");
  job.created = time_field(json, "created");
  job.finished = time_field(json, "finished");
  job.error = text_field(json, "error");
  return job;
}

// The elements of the array `key`; nothing when there is no such array.
StatusOr<Json> array_in(std::string_view text, const char* key) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return damaged();
  const auto at = json.find(key);
  if (at == json.end() || !at->is_array()) return damaged();
  return *at;
}

}  // namespace

std::string job_document(const JobStatus& job) { return text_of(json_of(job)); }

std::string jobs_document(const std::vector<JobStatus>& jobs) {
  Json list = Json::array();
  for (const JobStatus& job : jobs) list.push_back(json_of(job));
  Json json;
  json["jobs"] = std::move(list);
  return text_of(json);
}

std::string sites_document(const std::vector<Shard::SiteStatus>& sites) {
  Json list = Json::array();
  for (const Shard::SiteStatus& site : sites) {
    Json entry;
    entry["site"] = site.site;
    entry["source"] = site.source;
    entry["rows_waiting"] = site.rows_waiting;
    entry["connections"] = site.connections;
    entry["last_failure"] = site.last_failure;
    list.push_back(std::move(entry));
  }
  Json json;
  json["sites"] = std::move(list);
  return text_of(json);
}

std::string in_flight_document(const std::vector<RowPlace>& rows) {
  Json list = Json::array();
  for (const RowPlace& row : rows) list.push_back(Json::array({row.segment, row.row}));
  Json json;
  json["in_flight"] = std::move(list);
  return text_of(json);
}

std::string error_document(std::string_view message) {
  Json json;
  json["error"] = std::string(message);
  return text_of(json);
}

StatusOr<JobStatus> parse_job_document(std::string_view text) {
  return job_of(Json::parse(text, nullptr, /*allow_exceptions=*/false));
}

StatusOr<std::vector<JobStatus>> parse_jobs_document(std::string_view text) {
  ASSIGN_OR_RETURN(const Json list, array_in(text, "jobs"));
  std::vector<JobStatus> jobs;
  for (const Json& entry : list) {
    ASSIGN_OR_RETURN(JobStatus job, job_of(entry));
    jobs.push_back(std::move(job));
  }
  return jobs;
}

StatusOr<std::vector<Shard::SiteStatus>> parse_sites_document(std::string_view text) {
  ASSIGN_OR_RETURN(const Json list, array_in(text, "sites"));
  std::vector<Shard::SiteStatus> sites;
  for (const Json& entry : list) {
    if (!entry.is_object()) return damaged();
    Shard::SiteStatus site;
    site.site = text_field(entry, "site");
    site.source = text_field(entry, "source");
    site.rows_waiting = static_cast<uint64_t>(number_field(entry, "rows_waiting"));
    site.connections = static_cast<uint32_t>(number_field(entry, "connections"));
    site.last_failure = text_field(entry, "last_failure");
    sites.push_back(std::move(site));
  }
  return sites;
}

StatusOr<std::vector<RowPlace>> parse_in_flight_document(std::string_view text) {
  ASSIGN_OR_RETURN(const Json list, array_in(text, "in_flight"));
  std::vector<RowPlace> rows;
  for (const Json& entry : list) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_number_unsigned() ||
        !entry[1].is_number_unsigned()) {
      return damaged();
    }
    rows.push_back({entry[0].get<SegmentNumber>(), entry[1].get<SegmentRow>()});
  }
  return rows;
}

}  // namespace sluice
