#include "tools/cmd/route_report.h"

#include <nlohmann/json.hpp>

#include "engine/base/strings.h"
#include "engine/spool/job_directory.h"
#include "tools/cmd/common.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::ordered_json;

std::string number(uint64_t value) { return std::to_string(value); }
std::string words(Duration value) { return duration_words(value); }
std::string words(bool value) { return value ? "true" : "false"; }
std::string words(const std::optional<Rate>& rate) {
  if (!rate) return "none";
  return to_string(*rate) + (rate->burst > 1 ? ", max_burst " + number(rate->burst) : "");
}

// A key of shaping rules: whether a rule sets it, and what holds.
struct Key {
  std::string_view name;
  bool (*set)(const ShapingRule& rule);
  std::string (*value)(const SitePolicy& policy, const Configuration& config);
};
using P = SitePolicy;
using R = ShapingRule;
using C = Configuration;

constexpr Key kKeys[] = {
    {"connection_limit", [](const R& r) { return r.connection_limit.has_value(); },
     [](const P& p, const C&) { return number(p.connection_limit); }},
    {"max_connection_rate", [](const R& r) { return r.max_connection_rate.has_value(); },
     [](const P& p, const C&) { return words(p.max_connection_rate); }},
    {"max_message_rate", [](const R& r) { return r.max_message_rate.has_value(); },
     [](const P& p, const C&) { return words(p.max_message_rate); }},
    {"max_deliveries_per_connection",
     [](const R& r) { return r.max_deliveries_per_connection.has_value(); },
     [](const P& p, const C&) { return number(p.max_deliveries_per_connection); }},
    {"consecutive_connection_failures_before_delay",
     [](const R& r) { return r.consecutive_connection_failures_before_delay.has_value(); },
     [](const P& p, const C&) { return number(p.consecutive_connection_failures_before_delay); }},
    {"max_in_flight", [](const R& r) { return r.max_in_flight.has_value(); },
     [](const P& p, const C&) { return number(p.max_in_flight); }},
    {"enable_pipelining", [](const R& r) { return r.enable_pipelining.has_value(); },
     [](const P& p, const C&) { return words(p.enable_pipelining); }},
    {"smtp_port", [](const R& r) { return r.smtp_port.has_value(); },
     [](const P& p, const C& c) { return number(p.smtp_port.value_or(c.smtp.port)); }},
    {"idle_timeout", [](const R& r) { return r.idle_timeout.has_value(); },
     [](const P& p, const C&) { return words(p.idle_timeout); }},
    {"connect_timeout", [](const R& r) { return r.connect_timeout.has_value(); },
     [](const P& p, const C&) { return words(p.timeouts.connect); }},
    {"banner_timeout", [](const R& r) { return r.banner_timeout.has_value(); },
     [](const P& p, const C&) { return words(p.timeouts.banner); }},
    {"ehlo_timeout", [](const R& r) { return r.ehlo_timeout.has_value(); },
     [](const P& p, const C&) { return words(p.timeouts.ehlo); }},
    {"mail_from_timeout", [](const R& r) { return r.mail_from_timeout.has_value(); },
     [](const P& p, const C&) { return words(p.timeouts.mail_from); }},
    {"rcpt_to_timeout", [](const R& r) { return r.rcpt_to_timeout.has_value(); },
     [](const P& p, const C&) { return words(p.timeouts.rcpt_to); }},
    {"data_timeout", [](const R& r) { return r.data_timeout.has_value(); },
     [](const P& p, const C&) { return words(p.timeouts.data); }},
    {"data_block_timeout", [](const R& r) { return r.data_block_timeout.has_value(); },
     [](const P& p, const C&) { return words(p.timeouts.data_block); }},
    {"data_dot_timeout", [](const R& r) { return r.data_dot_timeout.has_value(); },
     [](const P& p, const C&) { return words(p.timeouts.data_dot); }},
    {"rset_timeout", [](const R& r) { return r.rset_timeout.has_value(); },
     [](const P& p, const C&) { return words(p.timeouts.rset); }},
};

std::string source_of(const LimitInForce& limit) {
  if (limit.rule == nullptr) return "default";
  return limit.rule->file + ":" + std::to_string(limit.rule->line);
}

std::string failure_words(const Verdict& failure) {
  std::string out =
      failure.state == State::kBounced ? "mail for it bounces: " : "mail for it is deferred: ";
  if (failure.reply.code != 0) out += std::to_string(failure.reply.code) + " ";
  if (failure.reply.enhanced.present()) out += to_string(failure.reply.enhanced) + " ";
  return out + escaped(failure.reply.text);
}

std::string addresses_words(const Exchanger& exchanger) {
  std::vector<std::string> addresses;
  for (const IpAddress& address : exchanger.addresses) addresses.push_back(to_string(address));
  return join(addresses, " ");
}

std::string unusable_words(const RouteTrace& trace) {
  std::string out;
  for (const UnusableAddress& unusable : trace.unusable) {
    out += "not used: " + escaped(unusable.exchanger) +
           (unusable.address.empty() ? "" : " " + unusable.address) + ": " + unusable.why + "\n";
  }
  return out;
}

std::string trace_words(const RouteTrace& trace) {
  Table table({"NAME", "TYPE", "ANSWER", "SOURCE", ">AGE", ">GOOD FOR", "AD"});
  for (const DnsFact& fact : trace.facts) {
    std::string answer =
        fact.kind == "records" ? escaped(join(fact.records, ", "), 200) : fact.kind;
    if (!fact.detail.empty()) answer += ": " + escaped(fact.detail, 200);
    table.add({escaped(fact.name), fact.type, answer, fact.source, duration_words(fact.age),
               duration_words(fact.lives), fact.secure ? "yes" : "no"});
  }
  return table.text();
}

Json json_of(const DnsFact& fact) {
  Json json;
  json["name"] = fact.name;
  json["type"] = fact.type;
  json["kind"] = fact.kind;
  json["source"] = fact.source;
  json["secure"] = fact.secure;
  json["age"] = to_seconds(fact.age);
  json["expires_in"] = to_seconds(fact.lives);
  json["records"] = fact.records;
  json["detail"] = fact.detail.empty() ? Json() : Json(escaped(fact.detail));
  return json;
}

}  // namespace

std::vector<LimitInForce> limits_in_force(const Configuration& config,
                                          const std::vector<std::string>& rule_sites,
                                          std::string_view domain, std::string_view site) {
  SitePolicy policy;
  std::vector<const ShapingRule*> matching;
  for (size_t i = 0; i < config.shaping.size(); ++i) {
    const ShapingRule& rule = config.shaping[i];
    const bool same_site =
        rule.mx_rollup && i < rule_sites.size() && !rule_sites[i].empty() && rule_sites[i] == site;
    if (rule.domain != "default" && rule.domain != domain && !same_site) continue;
    rule.apply(policy);
    matching.push_back(&rule);
  }
  std::vector<LimitInForce> limits;
  for (const Key& key : kKeys) {
    LimitInForce limit{key.name, key.value(policy, config), nullptr};
    for (const ShapingRule* rule : matching) {
      if (key.set(*rule)) limit.rule = rule;
    }
    limits.push_back(std::move(limit));
  }
  return limits;
}

std::string route_words(const RouteReport& report, bool with_trace) {
  const Route& route = *report.route;
  std::string out = escaped(report.domain);
  if (report.asked != report.domain) out += " (" + escaped(report.asked) + ")";
  if (!route.usable()) {
    out += ": " + failure_words(route.failure) + "\n";
  } else {
    out += ": site " + escaped(route.site) +
           (route.implicit_mx ? ", no MX record: its own address" : "") + "\n";
    Table table({">MX", "EXCHANGER", "ADDRESSES"});
    for (const Exchanger& exchanger : route.exchangers) {
      table.add({route.implicit_mx ? "-" : std::to_string(exchanger.preference),
                 escaped(exchanger.name), addresses_words(exchanger)});
    }
    out += table.text();
  }
  out += unusable_words(report.trace);
  out += std::string(report.from_sender ? "as the running sluice goes by, which asks " : "asked ") +
         report.servers + "; good for " + duration_words(report.lives) +
         (route.stale ? ", rests on an expired answer" : "") + "\n";
  if (with_trace) out += trace_words(report.trace);
  if (!route.usable()) return out;
  Table table({"LIMIT (of each source)", "VALUE", "FROM"});
  for (const LimitInForce& limit : report.limits) {
    table.add({std::string(limit.name), limit.value, escaped(source_of(limit))});
  }
  return out + table.text();
}

std::string route_json(const RouteReport& report) {
  const Route& route = *report.route;
  Json json;
  json["domain"] = report.domain;
  json["usable"] = route.usable();
  json["site"] = route.site.empty() ? Json() : Json(route.site);
  json["implicit_mx"] = route.implicit_mx;
  json["stale"] = route.stale;
  json["exchangers"] = Json::array();
  for (const Exchanger& exchanger : route.exchangers) {
    Json entry;
    entry["name"] = exchanger.name;
    entry["preference"] = exchanger.preference;
    entry["addresses"] = Json::array();
    for (const IpAddress& address : exchanger.addresses) {
      entry["addresses"].push_back(to_string(address));
    }
    json["exchangers"].push_back(std::move(entry));
  }
  json["failure"] = Json();
  if (!route.usable()) {
    const Reply& reply = route.failure.reply;
    Json failure;
    failure["state"] = std::string(name_of(route.failure.state));
    failure["code"] = reply.code == 0 ? Json() : Json(reply.code);
    failure["enhanced"] = reply.enhanced.present() ? Json(to_string(reply.enhanced)) : Json();
    failure["text"] = escaped(reply.text);
    json["failure"] = std::move(failure);
  }
  json["unusable"] = Json::array();
  for (const UnusableAddress& unusable : report.trace.unusable) {
    json["unusable"].push_back({{"exchanger", unusable.exchanger},
                                {"preference", unusable.preference},
                                {"address", unusable.address},
                                {"why", unusable.why}});
  }
  json["facts"] = Json::array();
  for (const DnsFact& fact : report.trace.facts) json["facts"].push_back(json_of(fact));
  json["from"] = report.from_sender ? "sender" : "dns";
  json["servers"] = report.servers;
  json["expires_in"] = to_seconds(report.lives);
  json["expires"] = format_utc(report.now + report.lives);
  json["limits"] = Json::object();
  for (const LimitInForce& limit : report.limits) {
    json["limits"][std::string(limit.name)] = {{"value", limit.value}, {"from", source_of(limit)}};
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace sluice::tools
