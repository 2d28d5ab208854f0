#include "engine/control/documents.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "engine/spool/job_directory.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json time_of(WallTime time) { return time == WallTime() ? Json() : Json(format_utc(time)); }

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

// Two digits are enough for people and do not pretend to more.
double rounded(double value) { return std::round(value * 100) / 100; }

Json json_of(const BottleneckReport& bottleneck, bool with_site) {
  Json json;
  json["reason"] = name_of(bottleneck.why);
  json["limit"] = text_or_null(bottleneck.limit);
  json["origin"] = text_or_null(bottleneck.origin);
  if (with_site) {
    json["site"] = text_or_null(bottleneck.site);
    json["source"] = text_or_null(bottleneck.source);
  }
  json["share"] = rounded(bottleneck.share);
  return json;
}

void add_eta(Json& json, const std::optional<Duration>& eta_in, WallTime eta) {
  json["eta"] = eta_in ? time_of(eta) : Json();
  json["eta_seconds"] = eta_in ? Json(rounded(to_seconds(*eta_in))) : Json();
}

Json json_of(const JobReport& job) {
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
  json["stale"] = job.counts.stale;
  json["bytes"] = job.counts.bytes;
  json["created"] = time_of(job.created);
  json["finished"] = time_of(job.finished);
  json["error"] = text_or_null(job.error);
  json["rate"] = rounded(job.forecast.rate);
  add_eta(json, job.forecast.eta_in, job.forecast.eta);
  json["last_due"] = time_of(job.forecast.last_due);
  json["held"] = job.forecast.held;
  json["bottleneck"] = json_of(job.forecast.bottleneck, true);
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

double real_field(const Json& json, const std::string& key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_number() ? at->get<double>() : 0;
}

std::optional<Duration> seconds_field(const Json& json, const std::string& key) {
  const auto at = json.find(key);
  if (at == json.end() || !at->is_number()) return std::nullopt;
  const double seconds = at->get<double>();
  if (!(seconds >= 0 && seconds < 9e9)) return std::nullopt;
  return Duration(static_cast<int64_t>(seconds * 1e9));
}

BottleneckReport bottleneck_field(const Json& json) {
  BottleneckReport bottleneck;
  const auto at = json.find("bottleneck");
  if (at == json.end() || !at->is_object()) return bottleneck;
  bottleneck.why = parse_bottleneck(text_field(*at, "reason")).value_or(Bottleneck::kNone);
  bottleneck.limit = text_field(*at, "limit");
  bottleneck.origin = text_field(*at, "origin");
  bottleneck.site = text_field(*at, "site");
  bottleneck.source = text_field(*at, "source");
  bottleneck.share = real_field(*at, "share");
  return bottleneck;
}

WallTime time_field(const Json& json, const std::string& key) {
  return parse_utc(text_field(json, key)).value_or(WallTime());
}

Status damaged() {
  return io_error(
      "what came from the admin socket is no answer of sluice; does another program "
      "listen there?");
}

StatusOr<JobReport> job_of(const Json& json) {
  if (!json.is_object() || text_field(json, "job").empty()) return damaged();
  JobReport job;
  job.id = text_field(json, "job");
  job.name = text_field(json, "name");
  job.phase = text_field(json, "phase");
  for (size_t i = 0; i < kStates; ++i) {
    job.counts.states[i] = number_field(json, std::string(kStateNames[i]));
  }
  job.counts.attempts = number_field(json, "attempts");
  job.counts.maybe_delivered = number_field(json, "maybe_delivered");
  job.counts.stale = number_field(json, "stale");
  job.counts.bytes = number_field(json, "bytes");
  job.created = time_field(json, "created");
  job.finished = time_field(json, "finished");
  job.error = text_field(json, "error");
  job.forecast.rate = real_field(json, "rate");
  job.forecast.eta_in = seconds_field(json, "eta_seconds");
  job.forecast.eta = time_field(json, "eta");
  job.forecast.last_due = time_field(json, "last_due");
  job.forecast.held = static_cast<uint64_t>(number_field(json, "held"));
  job.forecast.bottleneck = bottleneck_field(json);
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

std::string job_document(const JobReport& job) { return text_of(json_of(job)); }

std::string job_document(const JobStatus& job) {
  JobReport report;
  static_cast<JobStatus&>(report) = job;
  return job_document(report);
}

std::string jobs_document(const std::vector<JobReport>& jobs) {
  Json list = Json::array();
  for (const JobReport& job : jobs) list.push_back(json_of(job));
  Json json;
  json["jobs"] = std::move(list);
  return text_of(json);
}

std::string sites_document(const std::vector<SiteReport>& sites) {
  Json list = Json::array();
  for (const SiteReport& site : sites) {
    Json entry;
    entry["site"] = site.site;
    entry["source"] = site.source;
    if (site.site == kOtherSites) entry["sites"] = site.lanes;
    entry["rows_waiting"] = site.rows_waiting;
    entry["connections"] = site.connections;
    entry["last_failure"] = site.last_failure;
    entry["rate"] = rounded(site.wait.rate);
    add_eta(entry, site.eta_in, site.eta);
    entry["bottleneck"] = json_of(site.bottleneck, false);
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

StatusOr<JobReport> parse_job_document(std::string_view text) {
  return job_of(Json::parse(text, nullptr, /*allow_exceptions=*/false));
}

StatusOr<std::vector<JobReport>> parse_jobs_document(std::string_view text) {
  ASSIGN_OR_RETURN(const Json list, array_in(text, "jobs"));
  std::vector<JobReport> jobs;
  for (const Json& entry : list) {
    ASSIGN_OR_RETURN(JobReport job, job_of(entry));
    jobs.push_back(std::move(job));
  }
  return jobs;
}

StatusOr<std::vector<SiteReport>> parse_sites_document(std::string_view text) {
  ASSIGN_OR_RETURN(const Json list, array_in(text, "sites"));
  std::vector<SiteReport> sites;
  for (const Json& entry : list) {
    if (!entry.is_object()) return damaged();
    SiteReport site;
    site.site = text_field(entry, "site");
    site.source = text_field(entry, "source");
    if (site.site == kOtherSites) site.lanes = static_cast<uint32_t>(number_field(entry, "sites"));
    site.rows_waiting = static_cast<uint64_t>(number_field(entry, "rows_waiting"));
    site.connections = static_cast<uint32_t>(number_field(entry, "connections"));
    site.last_failure = text_field(entry, "last_failure");
    site.wait.rate = real_field(entry, "rate");
    site.eta_in = seconds_field(entry, "eta_seconds");
    site.eta = time_field(entry, "eta");
    site.bottleneck = bottleneck_field(entry);
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
