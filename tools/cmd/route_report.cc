#include "tools/cmd/route_report.h"

#include <nlohmann/json.hpp>

#include "engine/base/strings.h"
#include "engine/control/route_document.h"
#include "engine/spool/job_directory.h"
#include "tools/cmd/common.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::ordered_json;

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

// What running sluice learnt of who answers there.
std::string depth_words(const std::vector<DepthNote>& depths) {
  if (depths.empty()) return "";
  Table table({"EXCHANGER", "ANSWERS AS", "MESSAGES IN FLIGHT"});
  for (const DepthNote& note : depths) {
    table.add({escaped(note.exchanger), escaped(note.server), escaped(note.words)});
  }
  return table.text();
}

std::string trace_words(const RouteTrace& trace) {
  Table table({"NAME", "TYPE", "ANSWER", "SOURCE", ">AGE", ">GOOD FOR", "AD"});
  for (const DnsFact& fact : trace.facts) {
    std::string answer =
        fact.kind == "records" ? escaped(join(fact.records, ", "), 200) : fact.kind;
    if (!fact.detail.empty()) answer += ": " + escaped(fact.detail, 200);
    table.add({escaped(fact.name), fact.type, answer, fact.source, duration_words(fact.age),
               duration_words(fact.lives), fact.ad ? "yes" : "no"});
  }
  return table.text();
}

std::string tls_words(const ExplainedRoute& explained) {
  std::string out;
  Table table({"EXCHANGER", "TLS", "FROM"});
  for (const TlsForecast& forecast : explained.tls) {
    std::string words = escaped(forecast.words, 200);
    if (!forecast.source.empty()) words = "source " + escaped(forecast.source) + ": " + words;
    table.add({escaped(forecast.exchanger), words, escaped(forecast.from)});
  }
  if (!explained.tls.empty()) out += table.text();
  if (!explained.sts.empty()) out += "MTA-STS policy: " + escaped(explained.sts, 400) + "\n";
  for (const std::string& words : explained.broken_tls) out += escaped(words, 400) + "\n";
  return out;
}

std::string limit_words(const LimitInForce& limit) {
  return limit.built ? limit.value : escaped(limit.value, 60) + " (not built yet)";
}

// A table for each set of sources with the same limits.
std::string limits_words(const std::vector<SourceLimits>& sources) {
  std::string out;
  std::vector<bool> told(sources.size());
  for (size_t i = 0; i < sources.size(); ++i) {
    if (told[i]) continue;
    const SourceLimits& first = sources[i];
    std::vector<std::string> names;
    for (size_t k = i; k < sources.size(); ++k) {
      if (sources[k].provider != first.provider || sources[k].limits != first.limits) continue;
      told[k] = true;
      names.push_back(escaped(sources[k].source));
    }
    out += (names.size() == 1 ? "limits of source " : "limits of each of the sources ") +
           join(names, ", ");
    if (!first.provider.empty()) out += ", provider " + escaped(first.provider);
    out += "\n";
    Table table({"LIMIT", "VALUE", "FROM", "TABLE"});
    for (const LimitInForce& limit : first.limits) {
      table.add({escaped(limit.key), limit_words(limit), escaped(limit.from()),
                 limit.table.empty() ? "" : "[" + escaped(limit.table) + "]"});
    }
    out += table.text();
  }
  return out;
}

}  // namespace

std::string route_words(const RouteReport& report, bool with_trace) {
  const Route& route = *report.explained.route;
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
  out += unusable_words(report.explained.trace);
  out += std::string(report.from_sender ? "as the running sluice goes by, which asks " : "asked ") +
         report.explained.servers + "; good for " + duration_words(report.explained.lives) +
         (route.stale ? ", rests on an expired answer" : "") + "\n";
  if (with_trace) out += trace_words(report.explained.trace);
  if (!route.usable()) return out;
  out += tls_words(report.explained);
  out += depth_words(report.explained.depths);
  return out + limits_words(report.explained.sources);
}

std::string route_json(const RouteReport& report) {
  Json json;
  json["domain"] = report.domain;
  json.update(Json::parse(route_document(report.explained)));
  json["from"] = report.from_sender ? "sender" : "dns";
  json["expires"] = format_utc(report.now + report.explained.lives);
  json["limits"] = Json::object();
  if (!report.explained.sources.empty()) {
    for (const LimitInForce& limit : report.explained.sources.front().limits) {
      json["limits"][limit.key] = {{"value", limit.value}, {"from", limit.from()}};
    }
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace sluice::tools
