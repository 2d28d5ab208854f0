#include "tools/sink/report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/base/strings.h"

namespace sluice::sink {
namespace {

constexpr size_t kSecondsMax = 3'600;

using Json = nlohmann::ordered_json;

Json refusals(const SinkReport& report) {
  Json all = Json::object();
  for (const auto& entry : report.refused) {
    const std::string command(kCommandNames[static_cast<size_t>(entry.first.first)]);
    const uint16_t code = entry.first.second;
    all[command][code == 0 ? "dropped" : std::to_string(code)] = entry.second;
  }
  return all;
}

Json hosts(const SinkReport& report) {
  Json all = Json::array();
  for (const HostReport& host : report.hosts) {
    all.push_back({{"address", host.address},
                   {"connections", host.connections},
                   {"refused", host.refused},
                   {"peak", host.peak},
                   {"messages", host.messages},
                   {"most_messages_in_a_second", host.most_messages_in_a_second},
                   {"most_connections_in_a_second", host.most_connections_in_a_second}});
  }
  return all;
}

Json tls_json(const SinkReport& report) {
  const TlsCounts& tls = report.tls;
  return {{"messages", report.messages_in_tls},
          {"messages_in_clear", report.messages - report.messages_in_tls},
          {"handshakes", tls.handshakes},
          {"resumed", tls.resumed},
          {"truncated", tls.truncated},
          {"failed", tls.failed},
          {"sessions", tls.sessions},
          {"server_names", tls.server_names}};
}

void add_to(std::map<std::string, uint64_t>& all, const std::map<std::string, uint64_t>& more) {
  for (const auto& entry : more) all[entry.first] += entry.second;
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

}  // namespace

void SinkReport::add(const WorkerCounts& counts, const SessionCounts& sessions,
                     std::vector<HostCounts>& by_host) {
  messages += counts.messages;
  messages_in_tls += counts.messages_in_tls;
  recipients += counts.recipients;
  content_bytes += counts.content_bytes;
  received_bytes += counts.received_bytes;
  receives += counts.receives;
  sends += counts.sends;
  out_of_buffers += counts.out_of_buffers;
  dropped_unread += counts.dropped_unread;
  store_errors += counts.store_errors;
  commands += sessions.commands;
  pipelined_unasked += sessions.pipelined_unasked;
  messages_on_a_connection_max =
      std::max(messages_on_a_connection_max, sessions.messages_on_a_connection_max);
  for (const auto& entry : sessions.refused) refused[entry.first] += entry.second;
  tls.handshakes += sessions.tls.handshakes;
  tls.resumed += sessions.tls.resumed;
  tls.truncated += sessions.tls.truncated;
  add_to(tls.failed, sessions.tls.failed);
  add_to(tls.sessions, sessions.tls.sessions);
  add_to(tls.server_names, sessions.tls.server_names);
  by_host.resize(counts.hosts.size());
  for (size_t i = 0; i < counts.hosts.size(); ++i) {
    by_host[i].connections += counts.hosts[i].connections;
    by_host[i].refused += counts.hosts[i].refused;
    by_host[i].messages += counts.hosts[i].messages;
    by_host[i].series.merge(counts.hosts[i].series);
    by_host[i].connects.merge(counts.hosts[i].connects);
  }
}

void SinkReport::finish(const std::vector<HostCounts>& by_host, const Shared& shared) {
  RateSeries all;
  for (size_t i = 0; i < by_host.size(); ++i) {
    const HostCounts& counts = by_host[i];
    HostReport host;
    host.address = to_string(shared.options.listen[i]);
    host.connections = counts.connections;
    host.refused = counts.refused;
    host.peak = shared.hosts[i].peak();
    host.messages = counts.messages;
    host.most_messages_in_a_second = counts.series.most_in(1'000);
    host.most_connections_in_a_second = counts.connects.most_in(1'000);
    connections += counts.connections;
    connections_refused += counts.refused;
    windows_truncated = windows_truncated || counts.connects.truncated();
    all.merge(counts.series);
    hosts.push_back(host);
  }
  connections_peak = shared.connections.peak();
  most_messages_in_a_second = all.most_in(1'000);
  windows_truncated = windows_truncated || all.truncated();
  by_second = all.by_second(kSecondsMax);
  if (!all.moments().empty()) {
    const uint32_t span = all.moments().back().millisecond - all.moments().front().millisecond;
    active_seconds = span / 1e3;
    if (span > 0) messages_per_second = static_cast<double>(messages) / active_seconds;
  }
  identities = shared.identities.summary();
}

std::string to_json(const SinkReport& r) {
  Json json = {
      {"connections",
       {{"accepted", r.connections - r.connections_refused},
        {"refused", r.connections_refused},
        {"peak", r.connections_peak},
        {"most_messages", r.messages_on_a_connection_max},
        {"dropped_unread", r.dropped_unread}}},
      {"messages", r.messages},
      {"recipients", r.recipients},
      {"content_bytes", r.content_bytes},
      {"received_bytes", r.received_bytes},
      {"commands", r.commands},
      {"pipelined_unasked", r.pipelined_unasked},
      {"store_errors", r.store_errors},
      {"log_errors", r.log_errors},
      {"refused", refusals(r)},
      {"tls", tls_json(r)},
      {"rate",
       {{"active_seconds", r.active_seconds},
        {"messages_per_second", r.messages_per_second},
        {"most_messages_in_a_second", r.most_messages_in_a_second},
        {"by_second", r.by_second},
        {"windows_truncated", r.windows_truncated}}},
      {"hosts", hosts(r)},
      {"identities",
       {{"distinct", r.identities.distinct},
        {"once", r.identities.once},
        {"twice", r.identities.twice},
        {"more", r.identities.more},
        {"repeated", r.identities.repeated}}},
      {"dns", {{"udp", r.dns_udp}, {"tcp", r.dns_tcp}, {"unanswered", r.dns_unanswered}}},
      {"cost",
       {{"cpu_user_seconds", r.cpu_user_seconds},
        {"cpu_system_seconds", r.cpu_system_seconds},
        {"wall_seconds", r.wall_seconds},
        {"receives", r.receives},
        {"sends", r.sends},
        {"out_of_buffers", r.out_of_buffers}}},
  };
  if (r.expectation) {
    json["expectation"] = {{"expected", r.expectation->expected},
                           {"lost", r.expectation->lost},
                           {"unexpected", r.expectation->unexpected},
                           {"missed", r.expectation->missed}};
  }
  // Identities are the clients' octets: what is not UTF-8 is replaced.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_text(const SinkReport& r) {
  std::string text;
  text += "messages    " + grouped(r.messages) + " accepted for " + grouped(r.recipients) +
          " recipients, " + grouped(r.content_bytes) + " bytes of content\n";
  text += "rate        " + grouped(static_cast<uint64_t>(r.messages_per_second)) +
          " messages/s over " + fixed(r.active_seconds, 3) + " s, at most " +
          grouped(r.most_messages_in_a_second) + " within a second\n";
  text += "connections " + grouped(r.connections - r.connections_refused) + " accepted, " +
          grouped(r.connections_peak) + " at a time, " + grouped(r.connections_refused) +
          " refused\n";
  text += "identities  " + grouped(r.identities.distinct) +
          " distinct: " + grouped(r.identities.once) + " once, " + grouped(r.identities.twice) +
          " twice, " + grouped(r.identities.more) + " more often\n";
  uint64_t failed = 0;
  for (const auto& entry : r.tls.failed) failed += entry.second;
  if (r.tls.handshakes + failed > 0) {
    text += "tls         " + grouped(r.messages_in_tls) + " messages, " +
            grouped(r.messages - r.messages_in_tls) + " in clear; " + grouped(r.tls.handshakes) +
            " handshakes, " + grouped(r.tls.resumed) + " resumed, " + grouped(failed) + " failed\n";
  }
  for (const auto& entry : r.refused) {
    const uint16_t code = entry.first.second;
    text += "refused     " + grouped(entry.second) + " x " +
            std::string(kCommandNames[static_cast<size_t>(entry.first.first)]) + " " +
            (code == 0 ? "without a proper answer" : std::to_string(code)) + "\n";
  }
  if (r.expectation) {
    text += "expected    " + grouped(r.expectation->expected) + ": " +
            grouped(r.expectation->lost) + " lost, " + grouped(r.expectation->unexpected) +
            " unexpected\n";
  }
  if (r.store_errors > 0) text += "store       " + grouped(r.store_errors) + " files not written\n";
  text += "dns         " + grouped(r.dns_udp + r.dns_tcp) + " queries\n";
  text += "cost        " + fixed(r.cpu_user_seconds + r.cpu_system_seconds, 2) + " s of CPU in " +
          fixed(r.wall_seconds, 2) + " s\n";
  return text;
}

}  // namespace sluice::sink
