#include "engine/compose/html_entity.h"

#include <cstdint>
#include <utility>

#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr size_t kLengthMax = 12;

constexpr std::pair<std::string_view, uint32_t> kNamed[] = {
    {"amp", '&'},      {"lt", '<'},        {"gt", '>'},        {"quot", '"'},
    {"apos", '\''},    {"nbsp", 0xA0},     {"iexcl", 0xA1},    {"cent", 0xA2},
    {"pound", 0xA3},   {"yen", 0xA5},      {"sect", 0xA7},     {"copy", 0xA9},
    {"laquo", 0xAB},   {"shy", 0xAD},      {"reg", 0xAE},      {"deg", 0xB0},
    {"plusmn", 0xB1},  {"sup2", 0xB2},     {"sup3", 0xB3},     {"micro", 0xB5},
    {"para", 0xB6},    {"middot", 0xB7},   {"raquo", 0xBB},    {"frac14", 0xBC},
    {"frac12", 0xBD},  {"frac34", 0xBE},   {"iquest", 0xBF},   {"Agrave", 0xC0},
    {"Aacute", 0xC1},  {"Acirc", 0xC2},    {"Auml", 0xC4},     {"Aring", 0xC5},
    {"AElig", 0xC6},   {"Ccedil", 0xC7},   {"Egrave", 0xC8},   {"Eacute", 0xC9},
    {"Ntilde", 0xD1},  {"Oacute", 0xD3},   {"Ouml", 0xD6},     {"times", 0xD7},
    {"Oslash", 0xD8},  {"Uuml", 0xDC},     {"szlig", 0xDF},    {"agrave", 0xE0},
    {"aacute", 0xE1},  {"acirc", 0xE2},    {"atilde", 0xE3},   {"auml", 0xE4},
    {"aring", 0xE5},   {"aelig", 0xE6},    {"ccedil", 0xE7},   {"egrave", 0xE8},
    {"eacute", 0xE9},  {"ecirc", 0xEA},    {"euml", 0xEB},     {"igrave", 0xEC},
    {"iacute", 0xED},  {"icirc", 0xEE},    {"iuml", 0xEF},     {"ntilde", 0xF1},
    {"ograve", 0xF2},  {"oacute", 0xF3},   {"ocirc", 0xF4},    {"otilde", 0xF5},
    {"ouml", 0xF6},    {"divide", 0xF7},   {"oslash", 0xF8},   {"ugrave", 0xF9},
    {"uacute", 0xFA},  {"ucirc", 0xFB},    {"uuml", 0xFC},     {"ensp", 0x2002},
    {"emsp", 0x2003},  {"thinsp", 0x2009}, {"zwnj", 0x200C},   {"zwj", 0x200D},
    {"ndash", 0x2013}, {"mdash", 0x2014},  {"lsquo", 0x2018},  {"rsquo", 0x2019},
    {"sbquo", 0x201A}, {"ldquo", 0x201C},  {"rdquo", 0x201D},  {"bdquo", 0x201E},
    {"bull", 0x2022},  {"hellip", 0x2026}, {"lsaquo", 0x2039}, {"rsaquo", 0x203A},
    {"euro", 0x20AC},  {"trade", 0x2122},  {"larr", 0x2190},   {"uarr", 0x2191},
    {"rarr", 0x2192},  {"darr", 0x2193},   {"check", 0x2713},  {"hearts", 0x2665},
};

// Nothing to see: breaks within words, and what mails fill their previews with.
bool is_invisible(uint32_t character) {
  return character == 0xAD || character == 0x34F || character == 0x200B || character == 0x200C ||
         character == 0x2060 || character == 0xFEFF;
}

std::string utf8(uint32_t c) {
  std::string out;
  const auto put = [&out](uint32_t octet) { out += static_cast<char>(octet); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 63));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 63));
    put(0x80 | (c & 63));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 63));
    put(0x80 | (c >> 6 & 63));
    put(0x80 | (c & 63));
  }
  return out;
}

// 0: not a number that names a character.
uint32_t number_of(std::string_view digits) {
  const bool hex = !digits.empty() && ascii_lower(digits.front()) == 'x';
  if (hex) digits.remove_prefix(1);
  if (digits.empty() || digits.size() > 7) return 0;
  uint32_t number = 0;
  for (const char c : digits) {
    const char lower = ascii_lower(c);
    if (is_digit(c)) {
      number = number * (hex ? 16 : 10) + static_cast<uint32_t>(c - '0');
    } else if (hex && lower >= 'a' && lower <= 'f') {
      number = number * 16 + static_cast<uint32_t>(lower - 'a') + 10;
    } else {
      return 0;
    }
  }
  const bool is_character = number <= 0x10FFFF && (number < 0xD800 || number > 0xDFFF) &&
                            (number >= ' ' || number == '\t');
  return is_character ? number : 0;
}

uint32_t character_of(std::string_view reference) {
  if (reference.substr(0, 1) == "#") return number_of(reference.substr(1));
  for (const auto& [name, character] : kNamed) {
    if (name == reference) return character;
  }
  return 0;
}

}  // namespace

std::string decode_entity(std::string_view text, size_t at, size_t& end) {
  end = at;
  const std::string_view rest = text.substr(at + 1, kLengthMax);
  const size_t semicolon = rest.find(';');
  if (semicolon == std::string_view::npos) return {};
  const uint32_t character = character_of(rest.substr(0, semicolon));
  if (character == 0) return {};
  end = at + 1 + semicolon + 1;
  if (is_invisible(character)) return {};
  return character == 0xA0 ? " " : utf8(character);
}

}  // namespace sluice
