#include "engine/control/route_document.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/converse/reply_parser.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

double seconds(Duration duration) { return to_seconds(duration); }
Duration duration_of(const Json& json) {
  return Duration(static_cast<int64_t>(json.get<double>() * 1e9));
}

Json json_of(const DnsFact& fact) {
  return {{"name", fact.name},
          {"type", fact.type},
          {"kind", fact.kind},
          {"source", fact.source},
          {"ad", fact.ad},
          {"age", seconds(fact.age)},
          {"expires_in", seconds(fact.lives)},
          {"records", fact.records},
          {"detail", fact.detail.empty() ? Json() : Json(fact.detail)}};
}

DnsFact fact_of(const Json& json) {
  DnsFact fact;
  json.at("name").get_to(fact.name);
  json.at("type").get_to(fact.type);
  json.at("kind").get_to(fact.kind);
  json.at("source").get_to(fact.source);
  json.at("ad").get_to(fact.ad);
  fact.age = duration_of(json.at("age"));
  fact.lives = duration_of(json.at("expires_in"));
  json.at("records").get_to(fact.records);
  if (!json.at("detail").is_null()) json.at("detail").get_to(fact.detail);
  return fact;
}

Json json_of(const Exchanger& exchanger) {
  Json json;
  json["name"] = exchanger.name;
  json["preference"] = exchanger.preference;
  json["addresses"] = Json::array();
  for (const IpAddress& address : exchanger.addresses) {
    json["addresses"].push_back(to_string(address));
  }
  return json;
}

Exchanger exchanger_of(const Json& json) {
  Exchanger exchanger;
  json.at("name").get_to(exchanger.name);
  json.at("preference").get_to(exchanger.preference);
  for (const Json& address : json.at("addresses")) {
    if (const auto parsed = parse_ip(address.get<std::string>())) {
      exchanger.addresses.push_back(*parsed);
    }
  }
  return exchanger;
}

Json failure_json(const Verdict& failure) {
  const Reply& reply = failure.reply;
  Json json;
  json["state"] = std::string(name_of(failure.state));
  json["code"] = reply.code == 0 ? Json() : Json(reply.code);
  json["enhanced"] = reply.enhanced.present() ? Json(to_string(reply.enhanced)) : Json();
  json["text"] = reply.text;
  return json;
}

void read_failure(const Json& json, Verdict& failure) {
  failure.state = parse_state(json.at("state").get<std::string>()).value_or(State::kDeferred);
  if (!json.at("code").is_null()) json.at("code").get_to(failure.reply.code);
  if (!json.at("enhanced").is_null()) {
    const std::string code = json.at("enhanced").get<std::string>();
    std::string_view rest = code;
    failure.reply.enhanced = take_enhanced_code(rest);
  }
  json.at("text").get_to(failure.reply.text);
}

Json json_of(const SourceLimits& of_source) {
  Json json;
  json["source"] = of_source.source;
  json["provider"] = of_source.provider.empty() ? Json() : Json(of_source.provider);
  json["limits"] = Json::object();
  for (const LimitInForce& limit : of_source.limits) {
    Json& entry = json["limits"][limit.key];
    entry["value"] = limit.value;
    entry["from"] = limit.from();
    entry["file"] = limit.file.empty() ? Json() : Json(limit.file);
    entry["line"] = limit.file.empty() ? Json() : Json(limit.line);
    entry["table"] = limit.file.empty() ? Json() : Json(limit.table);
    entry["built"] = limit.built;
  }
  return json;
}

SourceLimits source_limits_of(const Json& json) {
  SourceLimits of_source;
  json.at("source").get_to(of_source.source);
  if (!json.at("provider").is_null()) json.at("provider").get_to(of_source.provider);
  for (const auto& [key, entry] : json.at("limits").items()) {
    LimitInForce limit;
    limit.key = key;
    entry.at("value").get_to(limit.value);
    entry.at("built").get_to(limit.built);
    if (!entry.at("file").is_null()) {
      entry.at("file").get_to(limit.file);
      entry.at("line").get_to(limit.line);
      entry.at("table").get_to(limit.table);
    }
    of_source.limits.push_back(std::move(limit));
  }
  return of_source;
}

ExplainedRoute explained_of(const Json& json) {
  auto route = std::make_shared<Route>();
  if (!json.at("site").is_null()) json.at("site").get_to(route->site);
  json.at("implicit_mx").get_to(route->implicit_mx);
  json.at("stale").get_to(route->stale);
  for (const Json& exchanger : json.at("exchangers")) {
    route->exchangers.push_back(exchanger_of(exchanger));
  }
  if (!json.at("failure").is_null()) read_failure(json.at("failure"), route->failure);
  ExplainedRoute explained;
  explained.route = std::move(route);
  explained.lives = duration_of(json.at("expires_in"));
  json.at("servers").get_to(explained.servers);
  for (const Json& entry : json.at("depths")) {
    DepthNote note;
    entry.at("exchanger").get_to(note.exchanger);
    entry.at("server").get_to(note.server);
    entry.at("in_flight").get_to(note.words);
    explained.depths.push_back(std::move(note));
  }
  for (const Json& fact : json.at("facts")) explained.trace.facts.push_back(fact_of(fact));
  for (const Json& entry : json.at("unusable")) {
    UnusableAddress unusable;
    entry.at("exchanger").get_to(unusable.exchanger);
    entry.at("preference").get_to(unusable.preference);
    entry.at("address").get_to(unusable.address);
    entry.at("why").get_to(unusable.why);
    explained.trace.unusable.push_back(std::move(unusable));
  }
  for (const Json& entry : json.at("tls")) {
    TlsForecast forecast;
    entry.at("exchanger").get_to(forecast.exchanger);
    if (!entry.at("source").is_null()) entry.at("source").get_to(forecast.source);
    entry.at("policy").get_to(forecast.policy);
    entry.at("words").get_to(forecast.words);
    entry.at("from").get_to(forecast.from);
    explained.tls.push_back(std::move(forecast));
  }
  if (!json.at("mta_sts").is_null()) json.at("mta_sts").get_to(explained.sts);
  json.at("broken_tls").get_to(explained.broken_tls);
  for (const Json& entry : json.at("sources")) {
    explained.sources.push_back(source_limits_of(entry));
  }
  return explained;
}

}  // namespace

std::string route_document(const ExplainedRoute& explained) {
  const Route& route = *explained.route;
  Json json;
  json["usable"] = route.usable();
  json["site"] = route.site.empty() ? Json() : Json(route.site);
  json["implicit_mx"] = route.implicit_mx;
  json["stale"] = route.stale;
  json["exchangers"] = Json::array();
  for (const Exchanger& exchanger : route.exchangers) {
    json["exchangers"].push_back(json_of(exchanger));
  }
  json["failure"] = route.usable() ? Json() : failure_json(route.failure);
  json["unusable"] = Json::array();
  for (const UnusableAddress& unusable : explained.trace.unusable) {
    json["unusable"].push_back({{"exchanger", unusable.exchanger},
                                {"preference", unusable.preference},
                                {"address", unusable.address},
                                {"why", unusable.why}});
  }
  json["facts"] = Json::array();
  for (const DnsFact& fact : explained.trace.facts) json["facts"].push_back(json_of(fact));
  json["servers"] = explained.servers;
  json["expires_in"] = seconds(explained.lives);
  json["depths"] = Json::array();
  for (const DepthNote& note : explained.depths) {
    json["depths"].push_back(
        {{"exchanger", note.exchanger}, {"server", note.server}, {"in_flight", note.words}});
  }
  json["tls"] = Json::array();
  for (const TlsForecast& forecast : explained.tls) {
    json["tls"].push_back({{"exchanger", forecast.exchanger},
                           {"source", forecast.source.empty() ? Json() : Json(forecast.source)},
                           {"policy", forecast.policy},
                           {"words", forecast.words},
                           {"from", forecast.from}});
  }
  json["mta_sts"] = explained.sts.empty() ? Json() : Json(explained.sts);
  json["broken_tls"] = explained.broken_tls;
  json["sources"] = Json::array();
  for (const SourceLimits& of_source : explained.sources) {
    json["sources"].push_back(json_of(of_source));
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

StatusOr<ExplainedRoute> parse_route_document(std::string_view text) {
  try {
    return explained_of(Json::parse(text));
  } catch (const Json::exception& error) {
    return io_error(std::string("what came from the admin socket is no route: ") + error.what());
  }
}

}  // namespace sluice
