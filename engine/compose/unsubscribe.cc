#include "engine/compose/unsubscribe.h"

#include "engine/base/strings.h"
#include "engine/compose/encode.h"
#include "engine/compose/fields.h"

namespace sluice {
namespace {

constexpr std::string_view kHttps = "https://";

}  // namespace

StatusOr<std::string> list_unsubscribe(const JobSpec::Unsubscribe& unsubscribe) {
  std::string text;
  if (const std::string& url = unsubscribe.url; !url.empty()) {
    const std::string where = "job.toml [unsubscribe]: url = \"" + escaped(url, 120) + "\" ";
    if (!starts_with_ignore_case(url, kHttps) || url.size() == kHttps.size()) {
      return invalid(where + "does not begin with https://, which one-click unsubscribe asks for");
    }
    if (url.find("{{") == std::string::npos) {
      return invalid(where + "is the same for everybody; add {{token}}, which names the recipient");
    }
    text = "<" + url + ">";
  }
  if (const std::string& mailto = unsubscribe.mailto; !mailto.empty()) {
    if (!is_addr_spec(mailto)) {
      return invalid("job.toml [unsubscribe]: mailto = \"" + escaped(mailto, 120) +
                     "\" is no address; write \"unsubscribe@example.com\"");
    }
    if (!text.empty()) text += ", ";
    const size_t at = mailto.rfind('@');
    text += "<mailto:";
    append_percent_encoded(text, std::string_view(mailto).substr(0, at));
    text += mailto.substr(at) + "?subject={{token}}>";
  }
  return text;
}

}  // namespace sluice
