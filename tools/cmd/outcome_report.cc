#include "tools/cmd/outcome_report.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "engine/base/strings.h"
#include "engine/record/holes.h"
#include "engine/spool/job_directory.h"
#include "tools/cmd/common.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

// rejected.csv is escaped already.
std::string response_of(const Outcome& outcome) {
  return outcome.state == State::kRejected ? outcome.text : escaped(outcome.text);
}

std::string time_text(WallTime time) { return time == WallTime() ? "" : format_utc(time); }

void append_field(std::string& out, std::string_view value) {
  out += ',';
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

bool is_refusal(State state) {
  return state == State::kBounced || state == State::kDeferred || state == State::kExpired ||
         state == State::kRejected;
}

// Reply for people, on one line that is not too long: "550 5.1.1 no such user".
std::string reply_words(const Outcome& outcome) {
  constexpr size_t kShownOctets = 160;
  std::string out;
  if (outcome.code != 0) out += std::to_string(outcome.code) + " ";
  if (outcome.enhanced.present()) out += to_string(outcome.enhanced) + " ";
  std::string text = outcome.text.substr(0, kShownOctets);
  std::replace(text.begin(), text.end(), '\n', ' ');
  out += outcome.state == State::kRejected ? text : escaped(text);
  return outcome.text.size() > kShownOctets ? out + "..." : out;
}

Json counts_json(const Counts& counts) {
  Json json;
  for (size_t i = 0; i < kStates; ++i) json[std::string(kStateNames[i])] = counts.states[i];
  return json;
}

}  // namespace

void append_csv_row(std::string& out, const ReportRow& row) {
  const Outcome& outcome = row.outcome;
  out += std::to_string(row.number);
  append_field(out, row.recipient);
  append_field(out, name_of(outcome.state));
  append_field(out, outcome.code == 0 ? "" : std::to_string(outcome.code));
  append_field(out, to_string(outcome.enhanced));
  append_field(out, response_of(outcome));
  append_field(out, escaped(outcome.exchanger));
  append_field(out, outcome.source);
  append_field(out, std::to_string(outcome.attempts));
  append_field(out, time_text(outcome.first_at));
  append_field(out, time_text(outcome.last_at));
  out += "\r\n";
}

void append_json_row(std::string& out, const ReportRow& row) {
  const Outcome& outcome = row.outcome;
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? Json() : Json(text);
  };
  Json json;
  json["row"] = row.number;
  json["recipient"] = std::string(row.recipient);
  json["state"] = std::string(name_of(outcome.state));
  json["code"] = outcome.code == 0 ? Json() : Json(outcome.code);
  json["enhanced"] = text_or_null(to_string(outcome.enhanced));
  json["response"] = text_or_null(response_of(outcome));
  json["exchanger"] = text_or_null(escaped(outcome.exchanger));
  json["source"] = text_or_null(std::string(outcome.source));
  json["attempts"] = outcome.attempts;
  json["first"] = text_or_null(time_text(outcome.first_at));
  json["last"] = text_or_null(time_text(outcome.last_at));
  out += text_of(json, -1);
}

ReportSummary::ReportSummary(std::string job, std::string name, Only only)
    : job_(std::move(job)), name_(std::move(name)), only_(only) {
  const auto chosen = [](bool state) { return state; };
  if (std::none_of(only_.begin(), only_.end(), chosen)) only_.fill(true);
}

bool ReportSummary::shows(State state) const { return only_[static_cast<size_t>(state)]; }

void ReportSummary::add(const ReportRow& row) {
  const Outcome& outcome = row.outcome;
  if (!shows(outcome.state)) return;
  if (is_refusal(outcome.state)) count_reply(outcome);
  if (outcome.site.empty()) return;
  auto site = sites_.find(outcome.site);
  if (site == sites_.end() && sites_.size() < kRepliesMax) {
    site = sites_.emplace(std::string(outcome.site), Counts()).first;
  }
  Counts& counts = site == sites_.end() ? other_sites_ : site->second;
  ++counts.states[static_cast<size_t>(outcome.state)];
}

void ReportSummary::count_reply(const Outcome& outcome) {
  std::string key = std::string(name_of(outcome.state)) + " " + std::to_string(outcome.code) + " " +
                    to_string(outcome.enhanced) + " ";
  std::string holes;
  split_holes(outcome.text, Words::kAddressesAreHoles, key, holes);
  auto known = replies_.find(key);
  if (known == replies_.end()) {
    if (replies_.size() >= kRepliesMax) {
      ++other_replies_;
      return;
    }
    known = replies_.emplace(key, ReplyCount{reply_words(outcome), outcome.state, 0}).first;
  }
  ++known->second.rows;
}

std::vector<ReportSummary::ReplyCount> ReportSummary::top_replies() const {
  std::vector<ReplyCount> top;
  for (const auto& [key, reply] : replies_) top.push_back(reply);
  std::stable_sort(top.begin(), top.end(),
                   [](const ReplyCount& a, const ReplyCount& b) { return a.rows > b.rows; });
  if (top.size() > kShown) top.resize(kShown);
  return top;
}

std::vector<std::pair<std::string, Counts>> ReportSummary::top_sites() const {
  std::vector<std::pair<std::string, Counts>> top(sites_.begin(), sites_.end());
  std::stable_sort(top.begin(), top.end(), [](const auto& a, const auto& b) {
    return a.second.total() > b.second.total();
  });
  if (top.size() > kShown) top.resize(kShown);
  return top;
}

std::string ReportSummary::state_table(const Counts& counts) const {
  Table table({"STATE", ">RECIPIENTS", ">SHARE"});
  for (size_t i = 0; i < kStates; ++i) {
    const State state = static_cast<State>((i + static_cast<size_t>(State::kDelivered)) % kStates);
    if (!shows(state) || counts[state] == 0) continue;
    table.add({std::string(name_of(state)), grouped(static_cast<uint64_t>(counts[state])),
               percent(counts[state], counts.total())});
  }
  table.add({"total", grouped(static_cast<uint64_t>(counts.total())), ""});
  return table.text();
}

std::string ReportSummary::text(const Counts& counts) const {
  std::string out = "Job " + job_ + (name_.empty() ? "" : " (" + escaped(name_) + ")") + ", " +
                    grouped(static_cast<uint64_t>(counts.attempts)) + " attempts";
  if (counts.maybe_delivered != 0) {
    out += ", " + grouped(static_cast<uint64_t>(counts.maybe_delivered)) + " maybe delivered";
  }
  if (counts.stale != 0) {
    out += ", " + grouped(static_cast<uint64_t>(counts.stale)) + " by stale DNS";
  }
  out += "\n\n" + state_table(counts);
  const std::vector<ReplyCount> replies = top_replies();
  if (!replies.empty()) {
    Table table({">RECIPIENTS", "STATE", "WHY NOT DELIVERED (an example of each kind)"});
    for (const ReplyCount& reply : replies) {
      table.add({grouped(static_cast<uint64_t>(reply.rows)), std::string(name_of(reply.state)),
                 reply.shown});
    }
    out += "\n" + table.text();
    if (replies_.size() > kShown || other_replies_ > 0) {
      out += "... and other reasons: sluice report " + job_ + " --format csv\n";
    }
  }
  const auto sites = top_sites();
  if (!sites.empty()) {
    Table table({"SITE", ">RECIPIENTS", "OUTCOMES"});
    for (const auto& [site, of_site] : sites) {
      table.add(
          {escaped(site), grouped(static_cast<uint64_t>(of_site.total())), state_words(of_site)});
    }
    out += "\n" + table.text();
    if (sites_.size() > kShown) {
      out += "... and " + grouped(sites_.size() - kShown) + " further sites\n";
    }
  }
  return out;
}

std::string ReportSummary::json(const Counts& counts) const {
  Json json;
  json["job"] = job_;
  json["name"] = name_;
  json["total"] = counts.total();
  for (size_t i = 0; i < kStates; ++i) {
    if (only_[i]) json[std::string(kStateNames[i])] = counts.states[i];
  }
  json["attempts"] = counts.attempts;
  json["maybe_delivered"] = counts.maybe_delivered;
  json["stale"] = counts.stale;
  json["replies"] = Json::array();
  for (const ReplyCount& reply : top_replies()) {
    Json entry;
    entry["state"] = std::string(name_of(reply.state));
    entry["example"] = reply.shown;
    entry["recipients"] = reply.rows;
    json["replies"].push_back(std::move(entry));
  }
  json["sites"] = Json::array();
  for (const auto& [site, of_site] : top_sites()) {
    Json entry = counts_json(of_site);
    entry["site"] = escaped(site);
    json["sites"].push_back(std::move(entry));
  }
  return text_of(json, 2);
}

}  // namespace sluice::tools
