// Little decoders, written apart from the encoders, and what a message on the wire must obey.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/strings.h"
#include "engine/compose/message_template.h"

namespace sluice::testing {

inline int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

inline std::vector<std::string> lines_of(std::string_view wire) {
  std::vector<std::string> lines;
  size_t at = 0;
  while (at < wire.size()) {
    const size_t end = wire.find("\r\n", at);
    if (end == std::string_view::npos) {
      lines.emplace_back(wire.substr(at));
      break;
    }
    lines.emplace_back(wire.substr(at, end - at));
    at = end + 2;
  }
  return lines;
}

// Strict: fails the test on what RFC 2045 §6.7 forbids.
inline std::string decode_qp(std::string_view body) {
  std::string out;
  const std::vector<std::string> lines = lines_of(body);
  const bool ended = body.size() >= 2 && body.substr(body.size() - 2) == "\r\n";
  for (size_t n = 0; n < lines.size(); ++n) {
    const std::string& line = lines[n];
    EXPECT_LE(line.size(), 76U) << line;
    EXPECT_TRUE(line.empty() || (line.back() != ' ' && line.back() != '\t')) << line;
    bool soft = false;
    for (size_t i = 0; i < line.size(); ++i) {
      const char c = line[i];
      if (c != '=') {
        EXPECT_TRUE(c == '\t' || (c >= ' ' && c <= '~')) << line;
        out += c;
      } else if (i + 1 == line.size()) {
        soft = true;
      } else {
        EXPECT_LT(i + 2, line.size()) << line;
        if (i + 2 >= line.size()) return out;
        EXPECT_GE(hex_value(line[i + 1]), 0) << line;
        EXPECT_GE(hex_value(line[i + 2]), 0) << line;
        out += static_cast<char>(hex_value(line[i + 1]) * 16 + hex_value(line[i + 2]));
        i += 2;
      }
    }
    if (!soft && (n + 1 < lines.size() || ended)) out += "\r\n";
  }
  return out;
}

inline std::string decode_base64(std::string_view text) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0;
  unsigned have = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<unsigned>(kAlphabet.find(c));
    have += 6;
    if (have >= 8) {
      have -= 8;
      out += static_cast<char>(bits >> have & 255);
    }
  }
  return out;
}

// Unfolds and decodes RFC 2047 words; blanks between two encoded words vanish.
inline std::string decode_header(std::string_view folded) {
  std::string text;
  for (size_t i = 0; i < folded.size(); ++i) {
    if (folded.substr(i, 2) == "\r\n") {
      ++i;
      continue;
    }
    text += folded[i];
  }
  std::string out;
  size_t at = 0;
  bool after_encoded = false;
  while (at < text.size()) {
    size_t word = at;
    while (word < text.size() && (text[word] == ' ' || text[word] == '\t')) ++word;
    size_t end = word;
    while (end < text.size() && text[end] != ' ' && text[end] != '\t') ++end;
    std::string_view w = std::string_view(text).substr(word, end - word);
    const std::string_view gap = std::string_view(text).substr(at, word - at);
    const bool comma = w.size() > 1 && w.back() == ',';
    if (comma) w.remove_suffix(1);
    if (w.size() > 12 && w.substr(0, 8) == "=?utf-8?" && w.substr(w.size() - 2) == "?=") {
      EXPECT_LE(w.size(), 75U);
      const char kind = w[8];
      const std::string_view inner = w.substr(10, w.size() - 12);
      std::string plain;
      if (kind == 'B') {
        plain = decode_base64(inner);
      } else {
        for (size_t i = 0; i < inner.size(); ++i) {
          if (inner[i] == '_') {
            plain += ' ';
          } else if (inner[i] == '=') {
            plain += static_cast<char>(hex_value(inner[i + 1]) * 16 + hex_value(inner[i + 2]));
            i += 2;
          } else {
            plain += inner[i];
          }
        }
      }
      EXPECT_TRUE(is_utf8(plain)) << "a character is split: " << w;
      if (!after_encoded) out += gap;
      out += plain;
      after_encoded = true;
    } else {
      out += gap;
      out += w;
      after_encoded = false;
    }
    if (comma) out += ',';
    at = end;
  }
  return out;
}

// What holds for every message in DATA's form.
inline void check_wire(std::string_view wire) {
  ASSERT_GE(wire.size(), 2U);
  EXPECT_EQ(wire.substr(wire.size() - 2), "\r\n");
  for (size_t i = 0; i < wire.size(); ++i) {
    if (wire[i] == '\r') {
      ASSERT_TRUE(i + 1 < wire.size() && wire[i + 1] == '\n') << "bare CR at " << i;
    }
    if (wire[i] == '\n') {
      ASSERT_TRUE(i > 0 && wire[i - 1] == '\r') << "bare LF at " << i;
    }
    ASSERT_NE(wire[i], '\0');
  }
  bool in_headers = true;
  for (const std::string& line : lines_of(wire)) {
    EXPECT_LE(line.size(), 999U);  // 998 and a stuffed dot
    EXPECT_FALSE(line == "." || (line.size() > 1 && line[0] == '.' && line[1] != '.')) << line;
    if (line.empty()) in_headers = false;
    if (in_headers) {
      EXPECT_LE(line.size(), 998U);
      EXPECT_NE(line.find_first_not_of(" \t"), std::string::npos) << "a blank header line";
      EXPECT_TRUE(is_ascii(line)) << line;
    }
  }
}

struct Message {
  std::string wire;
  std::string unstuffed;
  std::string headers;  // each line ends in CRLF
  std::string body;

  // Decoded value of the only header of that name; "<none>" and "<twice>" otherwise.
  std::string header(std::string_view name) const {
    const std::string raw = raw_header(name);
    return raw == "<none>" || raw == "<twice>" ? raw : decode_header(raw);
  }
  std::string raw_header(std::string_view name) const {
    std::string found = "<none>";
    const std::vector<std::string> lines = lines_of(headers);
    for (size_t i = 0; i < lines.size(); ++i) {
      if (!starts_with_ignore_case(lines[i], std::string(name) + ":")) continue;
      if (found != "<none>") return "<twice>";
      found = lines[i].substr(name.size() + 1);
      while (i + 1 < lines.size() && (lines[i + 1][0] == ' ' || lines[i + 1][0] == '\t')) {
        found += "\r\n" + lines[++i];
      }
      if (!found.empty() && found[0] == ' ') found.erase(0, 1);
      if (found.substr(0, 3) == "\r\n ") found.erase(0, 3);
    }
    return found;
  }
};

inline std::string joined(const MessageBuffer& buffer) {
  std::string out;
  for (const iovec& piece : buffer.pieces()) {
    out.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  EXPECT_EQ(out.size(), buffer.bytes());
  return out;
}

inline Message taken_apart(std::string wire) {
  Message m;
  m.wire = std::move(wire);
  check_wire(m.wire);
  for (const std::string& line : lines_of(m.wire)) {
    m.unstuffed += (!line.empty() && line[0] == '.' ? line.substr(1) : line) + "\r\n";
  }
  const size_t gap = m.unstuffed.find("\r\n\r\n");
  m.headers = m.unstuffed.substr(0, gap == std::string::npos ? gap : gap + 2);
  if (gap != std::string::npos) m.body = m.unstuffed.substr(gap + 4);
  return m;
}

// A job with one list; the columns are email, name, x.
class ComposeTest : public ::testing::Test {
 protected:
  ComposeTest() {
    spec.name = "july";
    spec.from = "Example News <news@example.com>";
    spec.subject = "Hello {{name}}";
    spec.message.text = "body.txt";
    input.spec = &spec;
    input.columns = {"email", "name", "x"};
    input.job_id = "july-20261201T080000-7";
  }
  std::string error() {
    const auto made = MessageTemplate::compile(input);
    return made.ok() ? "" : message_of(made.status());
  }
  void compile() {
    auto made = MessageTemplate::compile(input);
    ASSERT_TRUE(made.ok()) << made.status();
    message = std::move(*made);
  }
  ComposeResult check_row(std::string_view name, std::string_view x = "") {
    fill_row(name, x);
    return message->check(row);
  }
  ComposeResult try_row(std::string_view name, std::string_view x = "") {
    fill_row(name, x);
    return message->compose(row, {from_unix_seconds(1796115667)}, buffer);
  }
  void fill_row(std::string_view name, std::string_view x) {
    values = {address, name, x};
    row.number = 42;
    row.address = address;
    const size_t at = address.rfind('@');
    row.local_part = std::string_view(address).substr(0, at);
    row.domain = std::string_view(address).substr(at + 1);
    row.values = values;
  }
  // Of the last row.
  std::string sender() {
    std::string made;
    return std::string(message->envelope_sender(row, made));
  }
  Message compose(std::string_view name, std::string_view x = "") {
    const ComposeResult result = try_row(name, x);
    EXPECT_TRUE(result.ok()) << result.refusal.text;
    if (!result.ok()) return {};
    EXPECT_GE(message->size_estimate(row), buffer.bytes());
    return taken_apart(joined(buffer));
  }

  JobSpec spec;
  TemplateInput input;
  std::unique_ptr<const MessageTemplate> message;
  MessageBuffer buffer;
  std::string address = "zoe@example.net";
  std::vector<std::string_view> values;
  Row row;
};

// Values that have broken mail programs before.
inline std::vector<std::string> nasty_values() {
  return {"",
          "Zoe",
          "Zo\xC3\xAB",
          ".",
          "..",
          ".hidden",
          "From me",
          "F",
          " ",
          "a ",
          " a",
          "\t",
          "a\tb",
          "=",
          "=3D",
          "=?utf-8?Q?x?=",
          "a=?b",
          "\"quoted\" \\ back",
          "a, b <c@d.example>; (e)",
          "<b>&'\"",
          "--=_x",
          "{{name}}",
          "\x01\x7F",
          "a  b   c",
          std::string(40, ' ') + "x" + std::string(2000, ' ') + "y",
          std::string(74, 'a') + "\xF0\x9F\x98\x80",
          std::string(75, 'b') + ".c",
          std::string(76, 'c'),
          std::string(77, 'd'),
          std::string(75, 'e') + " f",
          std::string(75, 'g') + "From h",
          std::string(998, 'i'),
          std::string(999, 'j'),
          std::string(10'000, 'k'),
          std::string(512, '.') + "x",
          "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E \xE3\x83\x86\xE3\x82\xB9\xE3\x83\x88",
          [] {
            std::string emoji;
            for (int i = 0; i < 200; ++i) emoji += "\xF0\x9F\x98\x80";
            return emoji;
          }(),
          [] {
            std::string words;
            for (int i = 0; i < 500; ++i) words += "\xC3\xA9 a ";
            return words + "z";
          }(),
          [] {
            std::string words;
            for (int i = 0; i < 300; ++i) words += "\x01 a ";
            return words + "z";
          }(),
          std::string(600, '"')};
}

}  // namespace sluice::testing
