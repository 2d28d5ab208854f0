#include "engine/config/configuration_file.h"

#include <algorithm>
#include <iterator>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/config/checks.h"
#include "engine/config/dkim_section.h"
#include "engine/config/section.h"
#include "engine/config/sender_sections.h"
#include "engine/config/shaping_file.h"
#include "engine/config/tls_section.h"
#include "engine/config/token_sections.h"

namespace sluice {
namespace {

using namespace config;  // NOLINT(google-build-using-namespace): this room's own inner names

using std::chrono::hours;
using std::chrono::seconds;

constexpr Duration kYears = hours(24) * 3652;
constexpr size_t kShapingFilesMax = 64;
constexpr uint16_t kDnsPort = 53;
// sizeof(sockaddr_un::sun_path) less its terminating zero.
constexpr size_t kSocketPathMax = 107;

void read_servers(Section& section, std::string_view key, std::vector<SocketAddress>& out) {
  std::vector<PlacedText> given;
  section.texts(key, given, true);
  for (const PlacedText& item : given) {
    // A bare IPv6 address has colons of its own, so it is tried first.
    const std::optional<IpAddress> ip = parse_ip(item.text);
    std::optional<SocketAddress> server = parse_socket_address(item.text, kDnsPort);
    if (ip) server = SocketAddress{*ip, kDnsPort};
    if (!server) {
      section.problems().add(item.place, section.name_of(key) + " holds " + quote(item.text) +
                                             ", which is not an address; write \"192.0.2.53\", "
                                             "\"192.0.2.53:5353\" or \"[2001:db8::53]:53\"");
      continue;
    }
    out.push_back(*server);
  }
}

void read_spool(Section section, Configuration::Spool& out) {
  section.text("path", out.path);
  section.duration("keep_done", out.keep_done, Duration(0), kYears);
  section.size("reserve", out.reserve, 0);
  section.finish();
}

void read_engine(Section section, Configuration::Engine& out) {
  section.number("shards", out.shards, 0, 1'024);
  section.number("max_connections", out.max_connections, 1, 10'000'000);
  section.duration("drain_timeout", out.drain_timeout, Duration(0), hours(24));
  section.finish();
}

void read_routes(Section section, std::vector<DnsRoute>& out) {
  for (const auto& [key, place] : section.keys()) {
    DnsRoute route;
    std::string_view suffix = key;
    if (!suffix.empty() && suffix.front() == '.') suffix.remove_prefix(1);
    if (!suffix.empty() && suffix.back() == '.') suffix.remove_suffix(1);
    route.suffix = to_lower(suffix);
    read_servers(section, key, route.servers);
    if (!is_host_name(route.suffix)) {
      section.problems().add(
          place, section.name_of(key) + " is not a domain; write a suffix such as \"example.com\"");
    } else if (std::any_of(out.begin(), out.end(),
                           [&](const DnsRoute& r) { return r.suffix == route.suffix; })) {
      section.problems().add(
          place, section.name_of(key) + " is the second route of that suffix; remove one");
    } else if (const auto* array = section.find(key)->as_array(); array && array->empty()) {
      section.problems().add(
          place, section.name_of(key) + " names no server; add one or remove the route");
    } else {
      out.push_back(std::move(route));
    }
  }
}

void read_dns(Section section, Configuration::Dns& out) {
  read_servers(section, "servers", out.servers);
  section.duration("serve_stale", out.serve_stale, Duration(0), hours(24 * 30));
  section.number("cache_entries", out.cache_entries, 1, 1'000'000'000);
  section.flag("trust_ad", out.trust_ad);
  read_routes(section.section("route"), out.routes);
  section.finish();
}

void read_smtp(Section section, Configuration::Smtp& out) {
  read_hello(section, out.hello);
  section.number("port", out.port, 1, 65'535);
  section.choice("address_family", kAddressFamilies, out.address_family);
  std::vector<PlacedText> networks;
  section.texts("allowed_networks", networks);
  for (const PlacedText& item : networks) {
    const std::optional<Network> network = parse_network(item.text);
    if (network) {
      out.allowed_networks.push_back(*network);
    } else {
      section.problems().add(item.place, "smtp.allowed_networks holds " + quote(item.text) +
                                             ", which is not a network; write \"10.0.0.0/8\" or "
                                             "\"fd00::/8\"");
    }
  }
  section.flag("allow_address_literals", out.allow_address_literals);
  section.finish();
}

void read_retry(Section section, Configuration::Retry& out) {
  section.duration("retry_interval", out.retry_interval, seconds(1), hours(24 * 30));
  section.duration("max_retry_interval", out.max_retry_interval, seconds(1), hours(24 * 30));
  if (section.problems().none() && out.max_retry_interval < out.retry_interval) {
    section.problems().add(section.place_of_value("max_retry_interval"),
                           "retry.max_retry_interval is shorter than retry.retry_interval; raise "
                           "the one or lower the other");
  }
  section.finish();
}

void read_suppress(Section section, Configuration::Suppress& out) {
  section.flag("hard_bounces", out.hard_bounces);
  section.finish();
}

void read_record(Section section, Configuration::Record& out) {
  section.text("directory", out.directory, Empty::kAllowed);
  section.size("rotate", out.rotate_bytes, 64UL << 10);
  section.duration("keep", out.keep, Duration(0), kYears);
  section.duration("commit_interval", out.commit_interval, Duration(0), seconds(10));
  section.finish();
}

void read_admin(Section section, Configuration::Admin& out) {
  if (section.text("socket", out.socket) && out.socket.size() > kSocketPathMax) {
    section.error("socket", "is longer than 107 octets, which no socket's name may be; shorten it");
  }
  if (section.text("listen", out.listen, Empty::kAllowed) && !out.listen.empty() &&
      !parse_socket_address(out.listen)) {
    section.error("listen", "= " + quote(out.listen) +
                                " is not an address with a port; write \"127.0.0.1:2580\"");
  }
  section.finish();
}

void read_shaping(Section section, const FileReader& read, Configuration& out,
                  std::vector<std::string>* warnings) {
  std::vector<PlacedText> files;
  section.texts("files", files);
  section.finish();
  if (files.size() > kShapingFilesMax) {
    section.error("files", "names more than 64 files; join some of them");
    return;
  }
  std::vector<std::string> seen;
  for (const PlacedText& item : files) {
    const std::string path = beside(out.file, item.text);
    if (std::find(seen.begin(), seen.end(), path) != seen.end()) {
      section.problems().add(item.place,
                             "shaping.files names " + quote(item.text) + " twice; remove one");
      continue;
    }
    seen.push_back(path);
    CHECK(read != nullptr);
    const StatusOr<std::string> text = read(path);
    if (!text.ok()) {
      section.problems().add(item.place,
                             "shaping.files names " + quote(item.text) +
                                 ", which cannot be read: " + message_of(text.status()));
      continue;
    }
    StatusOr<ShapingRules> rules = parse_shaping(*text, path, warnings);
    if (!rules.ok()) {
      section.problems().add_foreign(item.place, message_of(rules.status()));
      continue;
    }
    std::move(rules->begin(), rules->end(), std::back_inserter(out.shaping));
  }
  if (warnings == nullptr) return;
  std::vector<std::string> names;
  for (const Source& source : out.sources) names.push_back(source.name);
  for (std::string& warning : rules_for_nothing(out.shaping, names)) {
    warnings->push_back("shaping.files: " + std::move(warning));
  }
}

void read_all(const toml::table& table, const FileReader& read, Problems& problems,
              Configuration& out, std::vector<std::string>* warnings) {
  Section root(&table, "", {1, 1}, problems);
  read_spool(root.section("spool"), out.spool);
  read_engine(root.section("engine"), out.engine);
  read_dns(root.section("dns"), out.dns);
  read_smtp(root.section("smtp"), out.smtp);
  config::read_tls(root.section("tls"), out.file, out.tls);
  read_sources(root, out);
  read_pools(root, out);
  read_retry(root.section("retry"), out.retry);
  read_suppress(root.section("suppress"), out.suppress);
  read_record(root.section("record"), out.record);
  read_admin(root.section("admin"), out.admin);
  Section log = root.section("log");
  log.choice("level", kLogLevels, out.log.level);
  log.finish();
  read_dkim(root, out);
  read_tokens(root, out);
  read_shaping(root.section("shaping"), read, out, warnings);
  root.finish();
}

}  // namespace

StatusOr<Configuration> parse_configuration(std::string_view text, const std::string& file,
                                            const FileReader& read,
                                            std::vector<std::string>* warnings) {
  Problems problems(file);
  Configuration out;
  out.file = file;
  const std::optional<toml::table> table = read_document(text, problems);
  if (table) read_all(*table, read, problems, out, warnings);
  if (!problems.none()) return problems.status(misconfigured);
  return out;
}

}  // namespace sluice
