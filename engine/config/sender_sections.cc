#include "engine/config/sender_sections.h"

#include <algorithm>
#include <string>

#include "engine/base/net.h"
#include "engine/base/strings.h"
#include "engine/config/checks.h"
#include "engine/config/job_file.h"

namespace sluice::config {
namespace {

constexpr std::string_view kHelloHow =
    " is not a host name; write one such as \"mta.example.com\", or an address literal such as "
    "\"[192.0.2.1]\"";
constexpr std::string_view kNameHow =
    "; use 1 to 64 letters, digits, \".\", \"_\" or \"-\", not beginning with \".\"";

void read_addresses(Section& section, std::vector<IpAddress>& out) {
  std::vector<PlacedText> given;
  section.texts("address", given, true);
  for (const PlacedText& item : given) {
    const std::optional<IpAddress> ip = parse_ip(item.text);
    if (!ip) {
      section.problems().add(item.place, "source.address " + quote(item.text) +
                                             " is not an IP address; write one such as "
                                             "\"192.0.2.10\"");
    } else if (std::any_of(out.begin(), out.end(),
                           [&](const IpAddress& a) { return a.family == ip->family; })) {
      section.problems().add(item.place, "source.address " + quote(item.text) +
                                             " is the second of its family; make it a [[source]] "
                                             "of its own");
    } else {
      out.push_back(*ip);
    }
  }
}

// Reads `name` of a [[source]] or [[pool]]; false when it is missing, wrong or taken.
template <typename Named>
bool read_name(Section& section, const std::vector<Named>& others, std::string& out) {
  if (section.find("name") == nullptr) {
    section.problems().add(section.place(),
                           section.name_of("name") + " is missing; add name = \"...\"");
    return false;
  }
  if (!section.text("name", out)) return false;
  if (!is_plain_name(out)) {
    section.error("name", "= " + quote(out) + " cannot be a name" + std::string(kNameHow));
    return false;
  }
  if (std::any_of(others.begin(), others.end(),
                  [&](const Named& other) { return other.name == out; })) {
    section.error("name", "= " + quote(out) + " is taken by one above; choose another");
    return false;
  }
  return true;
}

void add_member(const Configuration& configuration, Problems& problems, Place place,
                Pool::Member member, Pool& pool) {
  std::vector<std::string_view> known;
  for (const Source& source : configuration.sources) known.emplace_back(source.name);
  if (std::find(known.begin(), known.end(), member.source) == known.end()) {
    const std::string_view near = nearest(member.source, known);
    problems.add(place, "pool.sources names " + quote(member.source) + ", but no [[source]] has " +
                            "that name; " +
                            (near.empty() ? "add the source or remove it here"
                                          : "did you mean " + quote(near) + "?"));
    return;
  }
  if (std::any_of(pool.members.begin(), pool.members.end(),
                  [&](const Pool::Member& other) { return other.source == member.source; })) {
    problems.add(place, "pool.sources names " + quote(member.source) +
                            " twice; name it once, with a weight");
    return;
  }
  pool.members.push_back(std::move(member));
}

void read_members(Section& section, const Configuration& configuration, Pool& pool) {
  const toml::node* node = section.find("sources");
  const toml::array* array = node == nullptr ? nullptr : node->as_array();
  if (node == nullptr) {
    section.problems().add(section.place(),
                           "pool.sources is missing; add sources = [\"name of a source\"]");
    return;
  }
  if (array == nullptr || array->empty()) {
    section.error("sources", "must be an array of at least one source's name");
    return;
  }
  for (const toml::node& item : *array) {
    const Place place = place_of(item.source());
    Pool::Member member;
    if (const auto* name = item.as_string()) {
      member.source = name->get();
      add_member(configuration, section.problems(), place, std::move(member), pool);
    } else if (const toml::table* table = item.as_table()) {
      Section entry(table, "pool.sources", place, section.problems());
      const bool named = entry.text("source", member.source);
      if (entry.find("source") == nullptr) {
        entry.problems().add(place, "pool.sources.source is missing; add source = \"...\"");
      }
      entry.number("weight", member.weight, 1, 1'000'000);
      entry.finish();
      if (named) {
        add_member(configuration, section.problems(), place, std::move(member), pool);
      }
    } else {
      section.problems().add(place,
                             "pool.sources must hold names, or { source = \"...\", weight = 2 }");
    }
  }
}

}  // namespace

void read_hello(Section& section, std::string& out) {
  if (!section.text("hello", out, Empty::kAllowed)) return;
  if (!out.empty() && !is_hello(out)) {
    section.error("hello", "= " + quote(out) + std::string(kHelloHow));
  }
}

void read_sources(Section& root, Configuration& out) {
  for (Section& section : root.sections("source")) {
    Source source;
    const bool named = read_name(section, out.sources, source.name);
    read_addresses(section, source.addresses);
    read_hello(section, source.hello);
    section.finish();
    if (source.hello.empty()) source.hello = out.smtp.hello;
    if (named) out.sources.push_back(std::move(source));
  }
  if (out.sources.empty()) out.sources.push_back({"default", {}, out.smtp.hello});
}

void read_pools(Section& root, Configuration& out) {
  for (Section& section : root.sections("pool")) {
    Pool pool;
    const bool named = read_name(section, out.pools, pool.name);
    read_members(section, out, pool);
    section.finish();
    if (named) out.pools.push_back(std::move(pool));
  }
  if (!out.pools.empty()) return;
  Pool pool;
  pool.name = "default";
  for (const Source& source : out.sources) pool.members.push_back({source.name, 1});
  out.pools.push_back(std::move(pool));
}

}  // namespace sluice::config
