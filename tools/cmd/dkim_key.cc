// `sluice dkim-key`: makes a key that signs, and prints what goes into DNS and sluice.toml.
#include "engine/compose/dkim_key.h"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "engine/base/digest.h"
#include "engine/base/strings.h"
#include "engine/config/checks.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"
#include "tools/cmd/dkim_files.h"

namespace sluice::tools {
namespace {

struct KeyOptions {
  std::string domain;
  std::string selector;
  std::string type = "rsa";
  int bits = 2'048;
  std::string directory = ".";
};

// A TXT record in a zone file's form (RFC 1035 §5.1): strings of at most 255 octets, which whoever
// asks joins without anything between.
std::string zone_line(const DkimEntry& entry, const std::string& record) {
  constexpr size_t kStringMax = 255;
  std::string out = entry.selector + "._domainkey." + entry.domain + ". IN TXT (";
  for (size_t at = 0; at < record.size(); at += kStringMax) {
    out += "\n    \"" + record.substr(at, kStringMax) + "\"";
  }
  return out + " )\n";
}

int misused(const std::string& message) {
  report_error(invalid(message));
  return kUsage;
}

int run_dkim_key(const KeyOptions& options) {
  DkimEntry entry;
  entry.domain = to_lower(options.domain);
  entry.selector = options.selector;
  if (!config::is_host_name(entry.domain) || entry.domain.find('.') == std::string::npos) {
    return misused("--domain " + escaped(options.domain, 80) +
                   " is no domain; write one such as example.com, in A-labels");
  }
  if (!config::is_selector(entry.selector)) {
    return misused("--selector " + escaped(options.selector, 80) +
                   " cannot be one; use at most 63 letters, digits, \"-\", \"_\" and inner dots, "
                   "such as s2026");
  }
  std::error_code failure;
  const std::filesystem::path directory = std::filesystem::canonical(options.directory, failure);
  if (failure) {
    return report_error(cannot_create(options.directory + ": " + failure.message() +
                                      "; make the folder, or name another one with --directory"));
  }
  entry.key = (directory / (entry.domain + "." + entry.selector + ".pem")).string();
  const bool rsa = options.type == "rsa";
  StatusOr<std::string> pem = generate_dkim_key(
      rsa ? DkimAlgorithm::kRsaSha256 : DkimAlgorithm::kEd25519Sha256, options.bits);
  if (!pem.ok()) return report_error(pem.status());
  const StatusOr<DkimKeyPtr> key = DkimKey::parse(entry, *pem);
  const Status written = key.ok() ? write_dkim_key(entry.key, *pem) : key.status();
  cleanse(*pem);
  if (!written.ok()) return report_error(written);
  std::fprintf(stderr,
               "sluice: wrote %s, which only its owner reads; where sluice runs as a group's "
               "member: chgrp GROUP, chmod 640\n",
               entry.key.c_str());
  const Status printed =
      print("; into the zone of " + entry.domain + "\n" + zone_line(entry, (*key)->record()) +
            "\n# into sluice.toml, once the record is out\n[[dkim]]\ndomain = \"" + entry.domain +
            "\"\nselector = \"" + entry.selector + "\"\nkey = \"" + entry.key + "\"\n");
  return printed.ok() ? kDone : report_error(printed);
}

}  // namespace

void add_dkim_key(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<KeyOptions>();
  CLI::App* command = app.add_subcommand("dkim-key", "Make a DKIM key and print its DNS record");
  command->add_option("--domain", options->domain, "The domain that signs")->required();
  command->add_option("--selector", options->selector, "The key's name under _domainkey")
      ->required();
  command->add_option("--type", options->type, "rsa or ed25519")
      ->check(CLI::IsMember({"rsa", "ed25519"}))
      ->capture_default_str();
  command->add_option("--bits", options->bits, "Of an RSA key")
      ->check(CLI::Range(kRsaBitsMin, kRsaBitsMax))
      ->capture_default_str();
  command->add_option("--directory", options->directory, "Where DOMAIN.SELECTOR.pem is written")
      ->capture_default_str();
  command->footer(
      "Not every receiver knows Ed25519 yet: let an RSA key sign beside it.\n"
      "Example: sluice dkim-key --domain example.com --selector s2026 "
      "--directory /etc/sluice/dkim");
  command->callback([options, &exit_code] { exit_code = run_dkim_key(*options); });
}

}  // namespace sluice::tools
