// What holds for every message on the wire, looked at octet by octet; and composing one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/compose/message_template.h"

namespace sluice::fuzz {

inline constexpr size_t kWireLineMax = 998;

inline std::vector<std::string_view> wire_lines(std::string_view wire) {
  std::vector<std::string_view> lines;
  while (!wire.empty()) {
    const size_t end = wire.find("\r\n");
    CHECK(end != std::string_view::npos);
    lines.push_back(wire.substr(0, end));
    wire.remove_prefix(end + 2);
  }
  return lines;
}

// RFC 5321 §4.5.2, RFC 5322 §2.1.1: DATA's form.
inline void check_wire(std::string_view wire) {
  for (const std::string_view line : wire_lines(wire)) {
    CHECK(line.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
    const bool stuffed = line.starts_with('.');
    CHECK(!stuffed || line.starts_with(".."));
    CHECK(line.size() <= kWireLineMax + (stuffed ? 1 : 0));
  }
}

// Names of the header fields in their order; each line of the block is a field, or goes on one.
inline std::vector<std::string> header_names(std::string_view wire) {
  std::vector<std::string> names;
  for (const std::string_view line : wire_lines(wire)) {
    if (line.empty()) break;
    CHECK(is_ascii(line));
    CHECK(line.find_first_not_of(" \t") != std::string_view::npos);
    if (line.front() == ' ' || line.front() == '\t') {
      CHECK(!names.empty());
      continue;
    }
    const size_t colon = line.find(':');
    CHECK(colon != std::string_view::npos && colon > 0);
    // A message.eml may have blanks before the colon (RFC 5322 §4.5): they are its author's.
    names.emplace_back(trim(line.substr(0, colon)));
    for (const char c : names.back()) CHECK(c > ' ' && c < 0x7F);
  }
  return names;
}

inline std::string octets_of(const MessageBuffer& buffer) {
  std::string out;
  for (const iovec& piece : buffer.pieces()) {
    CHECK(piece.iov_len > 0);
    out.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  CHECK(out.size() == buffer.bytes());
  return out;
}

// True for what no header may hold.
inline bool breaks_header(std::string_view value) {
  return value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

// Composes rows of a list with the columns email, name, x.
class Composer {
 public:
  static std::vector<std::string> columns() { return {"email", "name", "x"}; }

  explicit Composer(const MessageTemplate& message) : message_(message) {}

  // Empty when the row is refused; refusal() then says why.
  std::string compose(std::string_view name, std::string_view x, bool eight_bit = true) {
    const std::string_view values[] = {"Zoe@Example.NET", name, x};
    Row row;
    row.number = 42;
    row.address = "Zoe@example.net";
    row.local_part = "Zoe";
    row.domain = "example.net";
    row.values = values;
    const MessageContext context{.date = from_unix_seconds(1'796'115'667), .eight_bit = eight_bit};
    const ComposeResult result = message_.compose(row, context, buffer_);
    refusal_ = result.refusal;
    if (!result.ok()) {
      CHECK(refusal_.code == 0 && refusal_.enhanced.klass == 5 && !refusal_.text.empty());
      return {};
    }
    CHECK(message_.size_estimate(row) >= buffer_.bytes());
    std::string wire = octets_of(buffer_);
    CHECK(!wire.empty());
    check_wire(wire);
    return wire;
  }
  const Reply& refusal() const { return refusal_; }

 private:
  const MessageTemplate& message_;
  MessageBuffer buffer_;
  Reply refusal_;
};

// Fields for any values keep the header as it is for harmless ones, and the row is refused rather
// than its header broken. `in_header`: both values stand in the header.
inline void check_values(const MessageTemplate& message, std::string_view name, std::string_view x,
                         bool in_header) {
  Composer composer(message);
  const std::string harmless = composer.compose("Zoe", "1");
  const std::string wire = composer.compose(name, x);
  if (wire.empty()) return;
  if (in_header) CHECK(!breaks_header(name) && !breaks_header(x));
  if (!harmless.empty()) CHECK(header_names(wire) == header_names(harmless));
  CHECK(composer.compose(name, x) == wire);
}

}  // namespace sluice::fuzz
