#include "engine/control/route_document.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

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
          {"secure", fact.secure},
          {"age", seconds(fact.age)},
          {"lives", seconds(fact.lives)},
          {"records", fact.records},
          {"detail", fact.detail}};
}

DnsFact fact_of(const Json& json) {
  DnsFact fact;
  json.at("name").get_to(fact.name);
  json.at("type").get_to(fact.type);
  json.at("kind").get_to(fact.kind);
  json.at("source").get_to(fact.source);
  json.at("secure").get_to(fact.secure);
  fact.age = duration_of(json.at("age"));
  fact.lives = duration_of(json.at("lives"));
  json.at("records").get_to(fact.records);
  json.at("detail").get_to(fact.detail);
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
  return {
      {"state", std::string(name_of(failure.state))}, {"code", failure.reply.code},
      {"class", failure.reply.enhanced.klass},        {"subject", failure.reply.enhanced.subject},
      {"detail", failure.reply.enhanced.detail},      {"text", failure.reply.text}};
}

void read_failure(const Json& json, Verdict& failure) {
  failure.state = parse_state(json.at("state").get<std::string>()).value_or(State::kDeferred);
  json.at("code").get_to(failure.reply.code);
  json.at("class").get_to(failure.reply.enhanced.klass);
  json.at("subject").get_to(failure.reply.enhanced.subject);
  json.at("detail").get_to(failure.reply.enhanced.detail);
  json.at("text").get_to(failure.reply.text);
}

ExplainedRoute explained_of(const Json& json) {
  auto route = std::make_shared<Route>();
  json.at("site").get_to(route->site);
  json.at("implicit_mx").get_to(route->implicit_mx);
  json.at("stale").get_to(route->stale);
  for (const Json& exchanger : json.at("exchangers")) {
    route->exchangers.push_back(exchanger_of(exchanger));
  }
  if (!json.at("failure").is_null()) read_failure(json.at("failure"), route->failure);
  ExplainedRoute explained;
  explained.route = std::move(route);
  explained.lives = duration_of(json.at("lives"));
  json.at("servers").get_to(explained.servers);
  for (const Json& fact : json.at("facts")) explained.trace.facts.push_back(fact_of(fact));
  for (const Json& entry : json.at("unusable")) {
    UnusableAddress unusable;
    entry.at("exchanger").get_to(unusable.exchanger);
    entry.at("preference").get_to(unusable.preference);
    entry.at("address").get_to(unusable.address);
    entry.at("why").get_to(unusable.why);
    explained.trace.unusable.push_back(std::move(unusable));
  }
  return explained;
}

}  // namespace

std::string route_document(const ExplainedRoute& explained) {
  const Route& route = *explained.route;
  Json json;
  json["site"] = route.site;
  json["implicit_mx"] = route.implicit_mx;
  json["stale"] = route.stale;
  json["exchangers"] = Json::array();
  for (const Exchanger& exchanger : route.exchangers) {
    json["exchangers"].push_back(json_of(exchanger));
  }
  json["failure"] = route.usable() ? Json() : failure_json(route.failure);
  json["lives"] = seconds(explained.lives);
  json["servers"] = explained.servers;
  json["facts"] = Json::array();
  for (const DnsFact& fact : explained.trace.facts) json["facts"].push_back(json_of(fact));
  json["unusable"] = Json::array();
  for (const UnusableAddress& unusable : explained.trace.unusable) {
    json["unusable"].push_back({{"exchanger", unusable.exchanger},
                                {"preference", unusable.preference},
                                {"address", unusable.address},
                                {"why", unusable.why}});
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
