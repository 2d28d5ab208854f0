#include "engine/config/default_file.h"

#include "engine/base/strings.h"
#include "engine/config/enum_names.h"
#include "engine/config/quantity.h"

namespace sluice {
namespace {

using config::kAddressFamilies;
using config::kLogLevels;
using config::kTlsPolicies;
using config::word_of;

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

template <typename Items, typename Print>
std::string toml_array(const Items& items, Print print) {
  std::vector<std::string> texts;
  texts.reserve(items.size());
  for (const auto& item : items) texts.push_back(print(item));
  return "[" + join(texts, ", ") + "]";
}

std::string toml_servers(const std::vector<SocketAddress>& servers) {
  return toml_array(servers, [](const SocketAddress& s) { return toml_string(to_string(s)); });
}

// Writes the file line by line; each key with its explanation above it.
class Writer {
 public:
  void section(std::string_view header, std::string_view why = {}) {
    out_ += "\n";
    if (!why.empty()) comment(why);
    out_ += header;
    out_ += "\n";
  }
  void comment(std::string_view text) {
    out_ += "# ";
    out_ += text;
    out_ += "\n";
  }
  void raw(std::string_view key, const std::string& value, std::string_view why = {}) {
    if (!why.empty()) comment(why);
    out_ += key;
    out_ += " = " + value + "\n";
  }
  void text(std::string_view key, std::string_view value, std::string_view why = {}) {
    raw(key, toml_string(value), why);
  }
  void duration(std::string_view key, Duration value, std::string_view why) {
    text(key, duration_to_string(value), why);
  }
  void number(std::string_view key, uint64_t value, std::string_view why) {
    raw(key, std::to_string(value), why);
  }
  void flag(std::string_view key, bool value, std::string_view why) {
    raw(key, value ? "true" : "false", why);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

void write_machine(Writer& writer, const Configuration& c) {
  writer.section("[spool]");
  writer.text("path", c.spool.path, "Jobs are dropped into its folder incoming/.");
  writer.duration("keep_done", c.spool.keep_done,
                  "Finished jobs are removed from done/ after this time.");
  writer.text("reserve", size_to_string(c.spool.reserve),
              "Lists wait while less is free on the spool's file system; sending goes on.");

  writer.section("[engine]");
  writer.number("shards", c.engine.shards, "Threads that send; 0: one per core.");
  writer.number("max_connections", c.engine.max_connections,
                "Connections of the whole process, all sites together.");
  writer.duration("drain_timeout", c.engine.drain_timeout,
                  "What is in flight at SIGTERM may end within this time.");
}

void write_dns(Writer& writer, const Configuration& c) {
  writer.section("[dns]");
  writer.raw("servers", toml_servers(c.dns.servers),
             "Resolvers, such as \"127.0.0.1:53\"; empty: those of /etc/resolv.conf.");
  writer.duration("serve_stale", c.dns.serve_stale,
                  "An answer that has expired serves this long when no server answers.");
  writer.number("cache_entries", c.dns.cache_entries, "Answers kept in memory.");
  writer.flag("trust_ad", c.dns.trust_ad,
              "The servers validate DNSSEC and nobody sits between: DANE needs it.");
  writer.section("[dns.route]", "Servers for the domains under a suffix, such as");
  writer.comment("\"example.com\" = [\"127.0.0.1:5350\"]");
  for (const DnsRoute& route : c.dns.routes) {
    writer.raw(toml_string(route.suffix), toml_servers(route.servers));
  }
}

void write_smtp(Writer& writer, const Configuration& c) {
  writer.section("[smtp]");
  writer.text("hello", c.smtp.hello,
              "The name said in EHLO, such as \"mta.example.com\"; empty: the host's name.");
  writer.number("port", c.smtp.port, "The port of the receivers.");
  writer.text("address_family", word_of(kAddressFamilies, c.smtp.address_family),
              "any, ipv4, ipv6, prefer-ipv4 or prefer-ipv6.");
  writer.raw("allowed_networks",
             toml_array(c.smtp.allowed_networks,
                        [](const Network& n) { return toml_string(to_string(n)); }),
             "Private and loopback networks that mail may go to, such as \"127.0.0.0/8\".");
  writer.flag("allow_address_literals", c.smtp.allow_address_literals,
              "Whether recipients such as user@[192.0.2.1] are accepted.");

  writer.section("[tls]");
  writer.text("policy", word_of(kTlsPolicies, c.tls.policy),
              "none, opportunistic, verified-if-offered, required or verified.");
  writer.flag("dane", c.tls.dane, "RFC 7672, where [dns] trust_ad is true.");
  writer.flag("mta_sts", c.tls.mta_sts, "RFC 8461.");
  writer.text("ca_file", c.tls.ca_file, "Roots to verify by, PEM; empty: the system's.");
  writer.text("report_from", c.tls.report_from,
              "Who sends TLS reports (RFC 8460) to domains that want them; empty: nobody.");
  writer.text("report_contact", c.tls.report_contact, "In the reports; empty: report_from.");
  writer.text("organization", c.tls.organization,
              "In the reports; empty: the domain of report_from.");
}

void write_sources(Writer& writer, const Configuration& c) {
  std::vector<Source> sources = c.sources;
  if (sources.empty()) sources.push_back({"default", {}, ""});
  for (const Source& source : sources) {
    writer.section("[[source]]", "An address to send from.");
    writer.text("name", source.name);
    writer.raw(
        "address",
        toml_array(source.addresses, [](const IpAddress& a) { return toml_string(to_string(a)); }),
        "One address, or one of each family; empty: the system's IPv4.");
    writer.text("hello", source.hello, "Its name in EHLO; empty: [smtp] hello.");
  }
  std::vector<Pool> pools = c.pools;
  if (pools.empty()) {
    Pool pool;
    pool.name = "default";
    for (const Source& source : sources) pool.members.push_back({source.name, 1});
    pools.push_back(pool);
  }
  for (const Pool& pool : pools) {
    writer.section("[[pool]]", "Sources that share the mail of a job, by weight.");
    writer.text("name", pool.name);
    writer.raw("sources", toml_array(pool.members, [](const Pool::Member& member) {
                 if (member.weight == 1) return toml_string(member.source);
                 return "{ source = " + toml_string(member.source) +
                        ", weight = " + std::to_string(member.weight) + " }";
               }));
  }
}

void write_dkim(Writer& writer, const Configuration& c) {
  writer.section(
      "# [[dkim]]",
      "A key that signs mail From its domain and those below; sluice dkim-key makes one.");
  writer.comment("domain = \"example.com\"");
  writer.comment("selector = \"s2026\"");
  writer.comment("key = \"/etc/sluice/dkim/example.com.s2026.pem\"");
  writer.comment("expire = \"7d\"               # absent: signatures do not expire");
  writer.comment("identity = \"@example.com\"   # absent: none");
  for (const DkimEntry& entry : c.dkim) {
    writer.section("[[dkim]]");
    writer.text("domain", entry.domain);
    writer.text("selector", entry.selector);
    writer.text("key", entry.key);
    if (entry.expire > Duration(0)) {
      writer.text("expire", duration_to_string(entry.expire));
    }
    if (!entry.identity.empty()) writer.text("identity", entry.identity);
  }
}

void write_tokens(Writer& writer, const Configuration& c) {
  writer.section("[verp]");
  writer.text("key", c.verp.key,
              "Of the tokens in envelope senders: a file; empty: verp.key in the spool.");
  writer.text("delimiter", c.verp.delimiter, "Between the local part and its token.");
  writer.section("[unsubscribe]");
  writer.text("key", c.unsubscribe.key,
              "Of {{token}}: a file; empty: unsubscribe.key in the spool.");
}

void write_rest(Writer& writer, const Configuration& c) {
  writer.section("[shaping]");
  writer.raw(
      "files", "[]",
      "Limits towards receivers in KumoMTA's format, such as deploy/shaping.toml, copied here.");

  writer.section("[retry]");
  writer.duration("retry_interval", c.retry.retry_interval,
                  "A deferred recipient is tried again after this time, then after twice it,");
  writer.duration("max_retry_interval", c.retry.max_retry_interval, "and so on up to this time.");

  writer.section("[suppress]");
  writer.flag("hard_bounces", c.suppress.hard_bounces,
              "Whether a recipient refused with 5.1.1 goes on the list suppress/bounced.txt.");

  writer.section("[record]");
  writer.text("directory", c.record.directory,
              "Where the event record is written; empty: record/ in the spool.");
  writer.text("rotate", size_to_string(c.record.rotate_bytes),
              "A file of the record is closed at this size.");
  writer.duration("keep", c.record.keep, "Files of the record are removed after this time.");
  writer.duration(
      "commit_interval", c.record.commit_interval,
      "Verdicts wait so long for others to share the disk's work; under load four times.");

  writer.section("[admin]");
  writer.text("socket", c.admin.socket, "Commands come in here: who may open it may command.");
  writer.text("listen", c.admin.listen,
              "Metrics and status over HTTP, such as \"127.0.0.1:2580\"; empty: off.");

  writer.section("[log]");
  writer.text("level", word_of(kLogLevels, c.log.level), "debug, info, warning or error.");
}

}  // namespace

std::string configuration_text(const Configuration& configuration) {
  Writer writer;
  writer.comment("Configuration of Sluice. Every key stands here with its default: remove what");
  writer.comment("you do not change. Durations: \"30s\", \"5m\", \"3d\"; sizes: \"64KiB\".");
  write_machine(writer, configuration);
  write_dns(writer, configuration);
  write_smtp(writer, configuration);
  write_sources(writer, configuration);
  write_dkim(writer, configuration);
  write_tokens(writer, configuration);
  write_rest(writer, configuration);
  return writer.take();
}

}  // namespace sluice
