#include "engine/compose/findings.h"

#include <algorithm>
#include <set>

#include "engine/base/strings.h"
#include "engine/compose/attachment.h"

namespace sluice {
namespace {

constexpr std::string_view kHttp = "http://";
constexpr size_t kUrlShown = 60;
constexpr size_t kFindingsMax = 20;  // of a kind in a file

// Names of things, which nobody follows.
constexpr std::string_view kNamespaces[] = {"http://www.w3.org/", "http://schemas.microsoft.com/",
                                            "http://schema.org"};

std::string_view url_at(std::string_view text, size_t begin) {
  return text.substr(begin, text.find_first_of(" \t\r\n\"'<>)", begin) - begin);
}

bool is_namespace(std::string_view url) {
  return std::any_of(std::begin(kNamespaces), std::end(kNamespaces),
                     [&](std::string_view known) { return url.substr(0, known.size()) == known; });
}

void add_unknown_names(const ParsedText& text, const FieldTable& fields,
                       std::vector<std::string>& warnings) {
  std::set<std::string_view> seen;
  for (const Mark& mark : text.marks) {
    if (!mark.optional || fields.knows(mark.name)) continue;
    if (!seen.insert(mark.name).second) continue;
    if (seen.size() > kFindingsMax) break;
    warnings.push_back(text.position_in_source(mark.source) + ": no column named \"" +
                       escaped(mark.name, 60) +
                       "\"; in a section that is allowed, its value is empty for every row");
  }
}

void add_plain_links(const ParsedText& text, std::vector<std::string>& warnings) {
  size_t first = std::string::npos;
  size_t count = 0;
  for (size_t at = text.text.find(kHttp); at != std::string::npos;
       at = text.text.find(kHttp, at + 1)) {
    if (is_namespace(url_at(text.text, at))) continue;
    if (count++ == 0) first = at;
  }
  if (count == 0) return;
  warnings.push_back(text.position(first) +
                     ": a link without https: " + escaped(url_at(text.text, first), kUrlShown) +
                     (count > 1 ? " (" + grouped(count) + " such links in this file)" : "") +
                     "; write https:// where the server has it");
}

}  // namespace

void add_findings(const ParsedText& text, const FieldTable& fields,
                  std::vector<std::string>& warnings) {
  add_unknown_names(text, fields, warnings);
  add_plain_links(text, warnings);
}

void add_unknown_content_ids(const ParsedText& html, const std::vector<std::string>& attachments,
                             std::vector<std::string>& warnings) {
  const std::string_view text = html.text;
  std::set<std::string_view> seen;
  for (size_t at = text.find("cid:"); at != std::string_view::npos;
       at = text.find("cid:", at + 1)) {
    // A URL: as src="cid:x" or url(cid:x), not the end of a word.
    if (at == 0 || std::string_view("\"'=(").find(text[at - 1]) == std::string_view::npos) continue;
    size_t end = at + 4;
    while (end < text.size() && is_content_id(text.substr(end, 1))) ++end;
    const std::string_view name = text.substr(at + 4, end - at - 4);
    const bool known =
        std::any_of(attachments.begin(), attachments.end(),
                    [&](const std::string& file) { return file_name_of(file) == name; });
    if (known || !seen.insert(name).second) continue;
    if (seen.size() > kFindingsMax) break;
    warnings.push_back(html.position(at) + ": \"cid:" + escaped(name, kUrlShown) +
                       "\" names no file of message.attachments; add the image there, under a "
                       "name of letters, digits, \".\", \"-\" and \"_\"");
  }
}

}  // namespace sluice
