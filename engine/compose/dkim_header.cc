#include "engine/compose/dkim_header.h"

#include <algorithm>

#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr std::string_view kName = "DKIM-Signature:";
constexpr std::string_view kCanonicalName = "dkim-signature:";
constexpr auto kNone = std::string_view::npos;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool is_word(char c) { return !is_blank(c) && c != '\r'; }

// The end of the field that begins at `begin`: behind the CRLF that no blank follows.
size_t end_of_field(std::string_view headers, size_t begin) {
  size_t at = begin;
  while (true) {
    at = headers.find('\n', at);
    if (at == kNone) return headers.size();
    ++at;
    if (at == headers.size() || !is_blank(headers[at])) return at;
  }
}

}  // namespace

void DkimFields::index(std::string_view headers) {
  counts_ = {};
  found_.clear();
  for (size_t at = 0; at < headers.size();) {
    const size_t end = end_of_field(headers, at);
    take(headers.substr(at, end - at));
    at = end;
  }
}

void DkimFields::take(std::string_view field) {
  const size_t colon = field.find(':');
  if (colon == kNone) return;
  std::string_view name = field.substr(0, colon);
  while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);
  for (size_t i = 0; i < kSignedCount; ++i) {
    if (kSigned[i].name.size() != name.size() || !equals_ignore_case(kSigned[i].name, name)) {
      continue;
    }
    ++counts_[i];
    found_.push_back({i, field.substr(colon + 1)});
    return;
  }
}

void DkimFields::append_canonical(std::string& out) const {
  for (size_t i = 0; i < kSignedCount; ++i) {
    if (counts_[i] == 0) continue;
    for (auto found = found_.rbegin(); found != found_.rend(); ++found) {
      if (found->which != i) continue;
      out += kSigned[i].canonical;
      append_relaxed_value(out, found->value);
      out += "\r\n";
    }
  }
}

std::string_view DkimFields::from_domain() const {
  for (const Found& found : found_) {
    if (found.which != 0) continue;
    std::string_view value = trim(found.value);
    if (!value.empty() && value.back() == '>') value.remove_suffix(1);
    const size_t at = value.rfind('@');
    return at == kNone ? std::string_view() : trim(value.substr(at + 1));
  }
  return {};
}

void append_relaxed_value(std::string& out, std::string_view value) {
  const size_t begin = out.size();
  const char* at = value.data();
  const char* const end = at + value.size();
  bool blank = false;
  while (at != end) {
    if (is_blank(*at)) {
      blank = true;
      ++at;
    } else if (*at == '\r' && end - at >= 2 && at[1] == '\n') {
      at += 2;
    } else {
      // A run in its own canonical form goes at once.
      const char* const first = at;
      do {
        ++at;
      } while (at != end && (is_word(*at) || (*at == ' ' && end - at >= 2 && is_word(at[1]))));
      if (blank && out.size() != begin) out += ' ';
      blank = false;
      out.append(first, at);
    }
  }
}

void SignatureText::start() {
  text_ = kName;
  canonical_ = kCanonicalName;
  column_ = kName.size();
}

void SignatureText::fold() {
  text_ += "\r\n ";
  canonical_ += ' ';
  column_ = 1;
}

void SignatureText::tag(std::string_view name, std::string_view value) {
  const bool fits = column_ + 1 + name.size() + value.size() + 1 <= kLineMax;
  if (!fits) fold();
  put(name, fits);
  put(value, false);
  put(";", false);
}

void SignatureText::put(std::string_view text, bool blank) {
  if (column_ + text.size() + (blank ? 1 : 0) > kLineMax) {
    fold();
  } else if (blank) {
    text_ += ' ';
    // A value begins with no blank.
    if (canonical_.size() > kCanonicalName.size()) canonical_ += ' ';
    ++column_;
  }
  text_ += text;
  canonical_ += text;
  column_ += text.size();
}

void SignatureText::sign(std::string_view base64) {
  while (!base64.empty()) {
    if (column_ >= kLineMax) {
      text_ += "\r\n ";
      column_ = 1;
    }
    const size_t count = std::min(kLineMax - column_, base64.size());
    text_ += base64.substr(0, count);
    base64.remove_prefix(count);
    column_ += count;
  }
  text_ += "\r\n";
}

}  // namespace sluice
