// `sluice sink`: a receiver, SMTP and DNS, for demos, tests and benchmarks.
//
// Standard output: one line when it listens, the report at the end; JSON with --json. It ends by
// SIGTERM or SIGINT, or after --messages.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/cmd/command.h"
#include "tools/sink/server.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    R"(ODDS are COMMAND:ACTION=PROBABILITY. COMMAND: CONNECT, EHLO, MAIL, RCPT, DATA, DOT, OTHER,
STARTTLS, HANDSHAKE (in place of the server's first flight), any. ACTION: a code (550, 451/4.7.1,
421; not in the HANDSHAKE), drop, reset, hang; for DOT lose-reply (takes the message and closes
without an answer); for STARTTLS inject (220 and, in the same piece, a reply that was not asked
for); for HANDSHAKE garbage, alert, or cut (half the flight, then the end). SHARES are refuse:S,
defer:S or defer-once:S; a hash of the address and --seed choose the recipients. Without --zone and
--zone-file the name server plays every domain.

Example, 50 exchangers behind every domain under test.example, one recipient in ten put off once:
  sluice sink --listen 127.0.1.1-127.0.1.50:2525 --dns 127.0.0.1:5353 \
              --zone test.example --rtt 20ms --recipient-rule defer-once:0.1
With TLS, whose certificate a sender can be told to trust:
  sluice sink --starttls --tls-name mx1.sink.example --tls-ca-out root.pem)";

// What is given as text, before it is understood.
struct SinkFlags {
  std::vector<std::string> listen;
  std::string dns;
  std::string rtt = "0ms";
  std::string size = "64MiB";
  std::string identity = "recipient";
  std::string tls_versions = "both";
  std::string tls_key_type = "ecdsa";
  std::vector<std::string> odds;
  std::vector<std::string> recipient_rules;
  bool no_ehlo = false;
  bool no_pipelining = false;
  bool no_chunking = false;
  bool no_size = false;
  bool no_8bitmime = false;
  bool no_smtputf8 = false;
  bool no_enhanced = false;
  bool no_limits = false;
  bool no_tls_tickets = false;
  sink::SinkOptions options;
};

Status understand_tls(SinkFlags& flags) {
  sink::SinkOptions& options = flags.options;
  sink::TlsOptions& tls = options.tls;
  RETURN_IF_ERROR(sink::parse_tls_versions(flags.tls_versions, tls));
  RETURN_IF_ERROR(sink::parse_tls_key_type(flags.tls_key_type, tls));
  tls.tickets = !flags.no_tls_tickets;
  if (!tls.certificate_file.empty()) options.session.starttls = true;
  const bool said = !tls.key_file.empty() || !tls.names.empty() || !tls.ca_out_file.empty() ||
                    !tls.ciphers.empty() || !tls.tickets || tls.first_connections > 0 ||
                    tls.versions != sink::TlsVersions::kBoth ||
                    tls.key_type != sink::TlsKeyType::kEcdsa;
  if (said && !options.session.starttls) {
    return invalid("options of TLS are given, but neither --starttls nor --tls-certificate");
  }
  return absl::OkStatus();
}

Status understand(SinkFlags& flags) {
  sink::SinkOptions& options = flags.options;
  if (flags.listen.empty()) flags.listen.emplace_back("127.0.0.1:2525");
  for (const std::string& text : flags.listen) {
    RETURN_IF_ERROR(sink::parse_listen(text, options.listen));
  }
  if (!flags.dns.empty()) {
    options.dns.listen = sink::parse_address(flags.dns);
    if (!options.dns.listen) {
      return invalid("--dns \"" + flags.dns + "\" is no address with a port; write 127.0.0.1:5353");
    }
  }
  for (const std::string& text : flags.odds) {
    RETURN_IF_ERROR(sink::parse_odds(text, options.odds));
  }
  for (const std::string& text : flags.recipient_rules) {
    RETURN_IF_ERROR(sink::parse_recipient_rule(text, options.recipient_rules));
  }
  RETURN_IF_ERROR(sink::parse_identity(flags.identity, options.session));
  ASSIGN_OR_RETURN(options.rtt, sink::parse_duration(flags.rtt));
  ASSIGN_OR_RETURN(options.session.size_max, sink::parse_size(flags.size));
  options.session.ehlo = !flags.no_ehlo;
  options.session.pipelining = !flags.no_pipelining;
  options.session.chunking = !flags.no_chunking;
  options.session.size = !flags.no_size;
  options.session.eight_bit_mime = !flags.no_8bitmime;
  options.session.smtputf8 = !flags.no_smtputf8;
  options.session.enhanced_codes = !flags.no_enhanced;
  options.session.limits = !flags.no_limits;
  RETURN_IF_ERROR(understand_tls(flags));
  return sink::check_options(options);
}

void print_ready(const sink::Sink& sink, bool json) {
  const std::vector<SocketAddress>& addresses = sink.addresses();
  const auto dns = sink.dns_address();
  std::string line;
  if (json) {
    nlohmann::ordered_json all = {{"ready", true}, {"smtp", nlohmann::ordered_json::array()}};
    for (const SocketAddress& address : addresses) all["smtp"].push_back(to_string(address));
    if (dns) all["dns"] = to_string(*dns);
    line = all.dump();
  } else {
    line = "ready: smtp " + to_string(addresses.front());
    if (addresses.size() > 1) {
      line += " to " + to_string(addresses.back()) + " (" + std::to_string(addresses.size()) +
              " addresses)";
    }
    if (dns) line += ", dns " + to_string(*dns);
  }
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

// Waits for a signal (true) or for the last of --messages (false).
bool wait_for_end(int signals, int done) {
  while (true) {
    pollfd polls[2] = {{signals, POLLIN, 0}, {done, POLLIN, 0}};
    if (::poll(polls, 2, -1) < 0) continue;
    if (polls[0].revents != 0) return true;
    if (polls[1].revents != 0) return false;
  }
}

Status write_files(const sink::Sink& sink, const sink::SinkOptions& options,
                   const std::string& json) {
  if (!options.report_file.empty()) {
    std::ofstream out(options.report_file, std::ios::binary);
    out << json;
    out.close();
    if (!out) return cannot_create("cannot write " + options.report_file);
  }
  if (!options.identities_file.empty()) {
    std::ofstream out(options.identities_file, std::ios::binary);
    sink.identities().write(out);
    out.close();
    if (!out) return cannot_create("cannot write " + options.identities_file);
  }
  return absl::OkStatus();
}

int run_sink(SinkFlags flags) {
  const Status understood = understand(flags);
  if (!understood.ok()) {
    report_error(understood);
    return kUsage;
  }
  sigset_t mask;
  ::sigemptyset(&mask);
  ::sigaddset(&mask, SIGTERM);
  ::sigaddset(&mask, SIGINT);
  // Before the threads start, so that they inherit it.
  ::pthread_sigmask(SIG_BLOCK, &mask, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  const int signals = ::signalfd(-1, &mask, SFD_CLOEXEC);
  if (signals < 0) return report_error(unavailable("cannot make a signalfd"));

  sink::Sink sink(flags.options);
  const Status started = sink.start();
  if (!started.ok()) {
    ::close(signals);
    return report_error(started);
  }
  print_ready(sink, flags.options.json);
  const bool by_signal = wait_for_end(signals, sink.done_event());
  ::close(signals);
  const sink::SinkReport report = sink.finish(!by_signal);
  const std::string json = sink::to_json(report);
  std::fputs((flags.options.json ? json : sink::to_text(report)).c_str(), stdout);
  const Status written = write_files(sink, flags.options, json);
  if (!written.ok()) return report_error(written);
  if (report.store_errors > 0) {
    return report_error(
        io_error("messages could not be stored in " + flags.options.store_directory));
  }
  if (report.log_errors > 0) {
    return report_error(io_error("lines are missing in " + flags.options.log_file));
  }
  const bool as_expected =
      !report.expectation || (report.expectation->lost == 0 && report.expectation->unexpected == 0);
  return as_expected ? kDone : kNotAllDelivered;
}

void add_network_options(CLI::App& command, SinkFlags& flags) {
  command.add_option(
      "--listen", flags.listen,
      "Address and port, or a range FIRST-LAST:PORT; again for more; port 0: any free "
      "one (default 127.0.0.1:2525)");
  command.add_option("--threads", flags.options.threads, "Workers, each with its own io_uring")
      ->capture_default_str();
  command.add_option("--rtt", flags.rtt, "Every group of replies waits so long, the greeting too")
      ->capture_default_str();
  command
      .add_option("--max-connections", flags.options.connections_max,
                  "Further ones get 421; 0: 20000, or what the limit of open files allows")
      ->capture_default_str();
  command
      .add_option("--max-connections-per-host", flags.options.connections_a_host_max,
                  "For each listening address; 0: no limit")
      ->capture_default_str();
  sink::DnsOptions& dns = flags.options.dns;
  command.add_option("--dns", flags.dns, "Also be the name server, UDP and TCP, at this address");
  command.add_option("--zone", dns.zones, "Play every domain under this one; again for more");
  command
      .add_option("--exchangers", dns.exchangers,
                  "How many hosts the domains share; 0: one a listening address")
      ->capture_default_str();
  command
      .add_option("--exchangers-per-domain", dns.exchangers_a_domain,
                  "MX records of a domain, preference 10, 20, ...")
      ->capture_default_str();
  command
      .add_option("--exchanger-zone", dns.exchanger_zone, "The hosts are mx1.ZONE, mx2.ZONE, ...")
      ->capture_default_str();
  command.add_option("--zone-file", dns.zone_file,
                     "Lines such as: example.com MX 10 mx.example.com; also A, AAAA, CNAME, TXT, "
                     "NULLMX, NODATA, NXDOMAIN, SERVFAIL, REFUSED, TIMEOUT, *.suffix, TTL seconds");
  command.add_option("--dns-ttl", dns.ttl_seconds, "Of all answers, in seconds")
      ->capture_default_str();
}

void add_session_options(CLI::App& command, SinkFlags& flags) {
  sink::SessionOptions& session = flags.options.session;
  command.add_option("--hostname", session.hostname, "In the greeting")->capture_default_str();
  command
      .add_option("--max-messages-per-connection", session.messages_max,
                  "Then 421; announced as MAILMAX; 0: no limit")
      ->capture_default_str();
  command
      .add_option("--max-recipients", session.recipients_max,
                  "Of a message, then 452; announced as RCPTMAX; 0: 1000, not announced")
      ->capture_default_str();
  command.add_option("--size", flags.size, "The largest message")->capture_default_str();
  command.add_flag("--no-ehlo", flags.no_ehlo, "Answer EHLO with 502");
  command.add_flag("--no-pipelining", flags.no_pipelining, "Do not offer PIPELINING");
  command.add_flag("--no-chunking", flags.no_chunking, "Do not offer CHUNKING");
  command.add_flag("--no-size", flags.no_size, "Do not offer SIZE");
  command.add_flag("--no-8bitmime", flags.no_8bitmime, "Do not offer 8BITMIME");
  command.add_flag("--no-smtputf8", flags.no_smtputf8, "Do not offer SMTPUTF8");
  command.add_flag("--no-enhancedstatuscodes", flags.no_enhanced,
                   "Do not offer or give enhanced status codes");
  command.add_flag("--no-limits", flags.no_limits, "Do not offer LIMITS");
  command.add_option("--odds", flags.odds, "Faults by chance, see below; again for more");
  command.add_option("--recipient-rule", flags.recipient_rules,
                     "Fates of recipients, SHARES below; again for more");
  command.add_option("--seed", flags.options.seed, "Of odds and recipient rules")
      ->capture_default_str();
}

void add_tls_options(CLI::App& command, SinkFlags& flags) {
  sink::TlsOptions& tls = flags.options.tls;
  command.add_flag("--starttls", flags.options.session.starttls,
                   "Offer STARTTLS, with a self-signed certificate that is made at the start");
  command.add_option(
      "--tls-name", tls.names,
      "A name in that certificate, also *.ZONE; again for more (default: --hostname)");
  command.add_option("--tls-key-type", flags.tls_key_type, "Its key: ecdsa (P-256) or rsa (2048)")
      ->capture_default_str();
  command.add_option("--tls-ca-out", tls.ca_out_file,
                     "Write that certificate there (PEM), for a sender to trust");
  command.add_option("--tls-certificate", tls.certificate_file,
                     "Offer STARTTLS with this one (PEM, its issuers behind it); with --tls-key");
  command.add_option("--tls-key", tls.key_file, "The key of --tls-certificate (PEM)");
  command.add_option("--tls-versions", flags.tls_versions, "1.2, 1.3 or both")
      ->capture_default_str();
  command.add_option("--tls-ciphers", tls.ciphers,
                     "OpenSSL's names with colons between, of 1.2 and 1.3 (default: OpenSSL's)");
  command.add_flag("--no-tls-tickets", flags.no_tls_tickets, "No session can be resumed");
  command.add_flag("--require-tls", flags.options.session.tls_required,
                   "Answer MAIL with 530 unless it comes in TLS");
  command
      .add_option("--starttls-first", tls.first_connections,
                  "Offer STARTTLS to the first so many connections of each address; 0: to all")
      ->capture_default_str();
}

void add_report_options(CLI::App& command, SinkFlags& flags) {
  sink::SinkOptions& options = flags.options;
  command.add_option("--messages", options.stop_after_messages, "End after so many; 0: by signal")
      ->capture_default_str();
  command.add_option("--store", options.store_directory, "Write each message to a file in DIR/new");
  command.add_option(
      "--log", options.log_file,
      "Write a line for each connection that opens, is refused or closes, for each "
      "message and each TLS session: nanoseconds of CLOCK_MONOTONIC; open, refused, "
      "message, close, tls or tls-failed; number of the connection; address; client, "
      "first recipient and the protocol it came in (none: in clear), or protocol, "
      "cipher, full or resumed, and server name");
  command
      .add_option("--identity", flags.identity,
                  "What names a message: recipient, message-id or header:NAME (where it is "
                  "missing, the recipient)")
      ->capture_default_str();
  command.add_flag("--exact", options.exact, "Keep identities in full, not as 64-bit hashes");
  command.add_option("--expect", options.expect_file,
                     "Identities, one a line: what never came is lost; exit code 1 if any is lost "
                     "or unexpected");
  command.add_option("--identities", options.identities_file,
                     "Write \"identity count\" lines at the end (needs --exact)");
  command.add_option("--report", options.report_file, "Write the report there as JSON");
  command.add_flag("--json", options.json, "Print JSON");
}

}  // namespace

void add_sink(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<SinkFlags>();
  CLI::App* command =
      app.add_subcommand("sink", "Receive mail, for demos, tests and benchmarks (SMTP and DNS)");
  add_network_options(*command, *flags);
  add_session_options(*command, *flags);
  add_tls_options(*command, *flags);
  add_report_options(*command, *flags);
  command->footer(kFooter);
  command->callback([flags, &exit_code] { exit_code = run_sink(*flags); });
}

}  // namespace sluice::tools
