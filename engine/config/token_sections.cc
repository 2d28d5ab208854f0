#include "engine/config/token_sections.h"

#include <string>
#include <string_view>

#include "engine/config/dkim_section.h"

namespace sluice::config {
namespace {

// What may stand in a local part (RFC 5321 §4.1.2, atext) and in no token.
constexpr std::string_view kDelimiters = "+-=_#!$%&*/?^~|";

void read_key(Section& section, const std::string& file, std::string& out) {
  if (section.text("key", out, Empty::kAllowed) && !out.empty()) out = beside(file, out);
}

}  // namespace

void read_tokens(Section& root, Configuration& out) {
  Section verp = root.section("verp");
  read_key(verp, out.file, out.verp.key);
  std::string delimiter;
  if (verp.text("delimiter", delimiter)) {
    if (delimiter.size() == 1 && kDelimiters.find(delimiter) != std::string_view::npos) {
      out.verp.delimiter = delimiter;
    } else {
      verp.error("delimiter", "= " + quote(delimiter) + " is not one of " +
                                  std::string(kDelimiters) + "; write \"+\"");
    }
  }
  verp.finish();
  Section unsubscribe = root.section("unsubscribe");
  read_key(unsubscribe, out.file, out.unsubscribe.key);
  unsubscribe.finish();
}

void read_unsubscribe(Section section, JobSpec::Unsubscribe& out) {
  if (!section.present()) return;
  section.text("url", out.url);
  section.text("mailto", out.mailto);
  if (section.find("url") == nullptr && section.find("mailto") == nullptr) {
    section.problems().add(section.place(),
                           "unsubscribe.url is missing; add url = "
                           "\"https://example.com/u/{{token}}\", or remove [unsubscribe]");
  }
  section.finish();
}

}  // namespace sluice::config
