#include "engine/config/dkim_section.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "engine/base/strings.h"
#include "engine/config/checks.h"

namespace sluice::config {
namespace {

constexpr Duration kExpireMost = std::chrono::hours(24 * 366);
constexpr Duration kExpireLeast = std::chrono::hours(1);
// Verifiers stop counting signatures of a message somewhere; ours are few.
constexpr long kSignaturesMax = 4;

// "[local]@domain" where the domain is the signing one or below it (RFC 6376 §3.5, i=).
bool is_identity(std::string_view identity, std::string_view domain) {
  const size_t at = identity.rfind('@');
  if (at == std::string_view::npos || identity.size() > 254) return false;
  const bool plain = std::all_of(identity.begin(), identity.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != ';' && c != '=' && c != '|' && c != '"';
  });
  const std::string host = to_lower(identity.substr(at + 1));
  if (!plain || identity.find('@') != at || !is_host_name(host)) return false;
  return host == domain ||
         (host.size() > domain.size() && host[host.size() - domain.size() - 1] == '.' &&
          std::string_view(host).substr(host.size() - domain.size()) == domain);
}

void need(Section& section, std::string_view key, std::string_view example) {
  section.problems().add(section.place(), section.name_of(key) + " is missing; add " +
                                              std::string(key) + " = \"" + std::string(example) +
                                              "\"");
}

bool read_entry(Section& section, const std::string& file, DkimEntry& out) {
  bool good = true;
  if (section.find("domain") == nullptr) {
    need(section, "domain", "example.com");
    good = false;
  } else if (!section.text("domain", out.domain)) {
    good = false;
  } else if (out.domain = to_lower(out.domain);
             !is_host_name(out.domain) || out.domain.find('.') == std::string::npos) {
    section.error("domain", "= " + quote(out.domain) +
                                " is no domain; write one such as \"example.com\", in A-labels");
    good = false;
  }
  if (section.find("selector") == nullptr) {
    need(section, "selector", "s2026");
    good = false;
  } else if (!section.text("selector", out.selector)) {
    good = false;
  } else if (!is_selector(out.selector)) {
    section.error("selector", "= " + quote(out.selector) +
                                  " cannot be a selector; use at most 63 letters, digits, \"-\", "
                                  "\"_\" and inner dots, such as \"s2026\"");
    good = false;
  }
  if (section.find("key") == nullptr) {
    need(section, "key", "example.com.s2026.pem");
    good = false;
  } else if (section.text("key", out.key)) {
    out.key = beside(file, out.key);
  } else {
    good = false;
  }
  if (section.text("identity", out.identity) && good && !is_identity(out.identity, out.domain)) {
    section.error("identity", "= " + quote(out.identity) +
                                  " is not \"@\" and the domain or one below it, such as \"@news." +
                                  out.domain + "\"");
    good = false;
  }
  section.duration("expire", out.expire, kExpireLeast, kExpireMost);
  section.finish();
  return good;
}

}  // namespace

std::string beside(const std::string& file, const std::string& path) {
  if (path.front() == '/') return path;
  const size_t slash = file.rfind('/');
  return slash == std::string::npos ? path : file.substr(0, slash + 1) + path;
}

void read_dkim(Section& root, Configuration& out) {
  for (Section& section : root.sections("dkim")) {
    DkimEntry entry;
    if (!read_entry(section, out.file, entry)) continue;
    const auto same = std::count_if(out.dkim.begin(), out.dkim.end(), [&](const DkimEntry& other) {
      return other.domain == entry.domain;
    });
    if (std::any_of(out.dkim.begin(), out.dkim.end(), [&](const DkimEntry& other) {
          return other.domain == entry.domain && equals_ignore_case(other.selector, entry.selector);
        })) {
      section.error("selector", "= " + quote(entry.selector) + " signs for " + entry.domain +
                                    " above already; remove one of the two");
    } else if (same >= kSignaturesMax) {
      section.error("domain", "= " + quote(entry.domain) +
                                  " has more than 4 keys, each of which signs; remove some");
    } else {
      out.dkim.push_back(std::move(entry));
    }
  }
}

}  // namespace sluice::config
