#include <algorithm>
#include <array>
#include <cstring>

#include "engine/compose/encode.h"

namespace sluice {
namespace {

constexpr char kHexDigits[] = "0123456789ABCDEF";
// Column behind which a soft break's "=" would no longer fit.
constexpr size_t kRoom = kQpLineMax - 1;

// How an octet of a body is written.
enum Kind : unsigned char { kPlain, kEncode, kBlank, kBreak, kEntity };

constexpr std::array<unsigned char, 256> make_kinds(bool html) {
  std::array<unsigned char, 256> kinds{};
  for (size_t i = 0; i < 256; ++i) kinds[i] = i >= 33 && i <= 126 && i != '=' ? kPlain : kEncode;
  kinds[' '] = kinds['\t'] = kBlank;
  kinds['\r'] = kinds['\n'] = kBreak;
  if (html) {
    for (const unsigned char c : {'&', '<', '>', '"', '\''}) kinds[c] = kEntity;
  }
  return kinds;
}
constexpr std::array<unsigned char, 256> kTextKinds = make_kinds(false);
constexpr std::array<unsigned char, 256> kHtmlKinds = make_kinds(true);

std::string_view entity_of(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    default:
      return "&#39;";
  }
}

// Writes to memory that is large enough: kQpGrowth* times the input, and 8 octets.
class Writer {
 public:
  // `guarded`: no line begins with an octet that stands for itself, nor with a blank.
  Writer(char* out, size_t column, bool guarded) : out_(out), column_(column), guarded_(guarded) {}

  char* end() const { return out_; }
  size_t column() const { return column_; }

  // Encodes [begin, end); the text goes on until `text_end`, which only decides about what
  // follows a blank or a "F".
  const char* run(const char* begin, const char* end, const char* text_end,
                  const std::array<unsigned char, 256>& kinds) {
    const char* at = begin;
    while (at < end) {
      switch (kinds[static_cast<unsigned char>(*at)]) {
        case kPlain:
          at = plain(at, end, text_end, kinds);
          break;
        case kEncode:
          hex(*at++);
          break;
        case kBlank:
          if ((at + 1 < text_end && (at[1] == '\r' || at[1] == '\n')) || must_guard()) {
            hex(*at);
          } else {
            token({at, 1});
          }
          ++at;
          break;
        case kEntity:
          token(entity_of(*at++));
          break;
        default:
          at = line_break(at, text_end);
      }
    }
    return at;
  }

 private:
  // One octet more begins a line, of this one or of the next.
  bool must_guard() const { return guarded_ && (column_ == 0 || column_ + 1 > kRoom); }
  void soft_break() {
    std::memcpy(out_, "=\r\n", 3);
    out_ += 3;
    column_ = 0;
  }
  void token(std::string_view octets) {
    if (column_ + octets.size() > kRoom) soft_break();
    std::memcpy(out_, octets.data(), octets.size());
    out_ += octets.size();
    column_ += octets.size();
  }
  void hex(char c) {
    const auto octet = static_cast<unsigned char>(c);
    const char encoded[3] = {'=', kHexDigits[octet >> 4], kHexDigits[octet & 15]};
    token({encoded, 3});
  }
  // A run of octets that stand for themselves, but for the first of a line.
  const char* plain(const char* at, const char* end, const char* text_end,
                    const std::array<unsigned char, 256>& kinds) {
    if (column_ >= kRoom) soft_break();
    if (column_ == 0 && (guarded_ || *at == '.' || (*at == 'F' && says_from(at, text_end)))) {
      hex(*at);
      return at + 1;
    }
    const char* stop = at + std::min(static_cast<size_t>(end - at), kRoom - column_);
    const char* next = at + 1;
    while (next < stop && kinds[static_cast<unsigned char>(*next)] == kPlain) ++next;
    const auto count = static_cast<size_t>(next - at);
    std::memcpy(out_, at, count);
    out_ += count;
    column_ += count;
    return next;
  }
  static bool says_from(const char* at, const char* text_end) {
    return text_end - at >= 5 && std::memcmp(at, "From ", 5) == 0;
  }
  const char* line_break(const char* at, const char* text_end) {
    if (*at == '\r') {
      if (at + 1 == text_end || at[1] != '\n') {
        hex('\r');
        return at + 1;
      }
      ++at;
    }
    std::memcpy(out_, "\r\n", 2);
    out_ += 2;
    column_ = 0;
    return at + 1;
  }

  char* out_;
  size_t column_;
  const bool guarded_;
};

}  // namespace

size_t append_quoted_printable(std::string& out, std::string_view text, size_t column) {
  const size_t before = out.size();
  out.resize(before + text.size() * kQpGrowthText + 8);
  Writer writer(out.data() + before, column, false);
  const char* end = text.data() + text.size();
  writer.run(text.data(), end, end, kTextKinds);
  out.resize(static_cast<size_t>(writer.end() - out.data()));
  return writer.column();
}

size_t append_quoted_printable(MessageBuffer& out, std::string_view value, Html html) {
  constexpr size_t kBlockOctets = 512;
  const auto& kinds = html == Html::kYes ? kHtmlKinds : kTextKinds;
  const size_t growth = html == Html::kYes ? kQpGrowthHtml : kQpGrowthText;
  const char* at = value.data();
  const char* const text_end = at + value.size();
  size_t column = 0;
  while (at < text_end) {
    const char* end = at + std::min(kBlockOctets, static_cast<size_t>(text_end - at));
    // CRLF may reach one octet past the block.
    char* const space = out.reserve((static_cast<size_t>(end - at) + 1) * growth + 8);
    Writer writer(space, column, true);
    at = writer.run(at, end, text_end, kinds);
    column = writer.column();
    out.commit(static_cast<size_t>(writer.end() - space));
  }
  return column;
}

}  // namespace sluice
