#include "engine/compose/fields.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

namespace sluice {
namespace {

constexpr std::pair<std::string_view, FieldSource> kBuiltIns[] = {
    {"email", FieldSource::kEmail},   {"local_part", FieldSource::kLocalPart},
    {"domain", FieldSource::kDomain}, {"job", FieldSource::kJob},
    {"row", FieldSource::kRow},       {"token", FieldSource::kToken}};

}  // namespace

RowValues::RowValues(const Row& row, std::string_view job_id, const TokenMaker* tokens)
    : row_(row), job_id_(job_id), tokens_(tokens) {
  const auto result = std::to_chars(std::begin(number_), std::end(number_), row.number);
  number_length_ = static_cast<size_t>(result.ptr - number_);
}

std::string_view RowValues::of(const Field& field) const {
  switch (field.source) {
    case FieldSource::kColumn:
      return field.column < row_.values.size() ? row_.values[field.column] : std::string_view();
    case FieldSource::kEmail:
      return row_.address;
    case FieldSource::kLocalPart:
      return row_.local_part;
    case FieldSource::kDomain:
      return row_.domain;
    case FieldSource::kJob:
      return job_id_;
    case FieldSource::kRow:
      return row_number();
    case FieldSource::kToken:
      if (!has_token_) {
        token_.fill('x');
        if (tokens_ != nullptr) token_ = tokens_->make(TokenKind::kUnsubscribe, row_.number);
        has_token_ = true;
      }
      return text_of(token_);
    case FieldSource::kNothing:
      break;
  }
  return {};
}

void append_percent_encoded(std::string& out, std::string_view value) {
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  for (const char c : value) {
    const auto octet = static_cast<unsigned char>(c);
    const char lower = ascii_lower(c);
    if (is_digit(c) || (lower >= 'a' && lower <= 'z') || c == '-' || c == '.' || c == '_' ||
        c == '~') {
      out += c;
    } else {
      out += '%';
      out += kHexDigits[octet >> 4];
      out += kHexDigits[octet & 15];
    }
  }
}

FieldTable::FieldTable(const std::vector<std::string>& columns, std::string_view address_column)
    : columns_(columns), address_column_(address_column) {
  for (uint32_t i = 0; i < columns_.size(); ++i) by_name_.try_emplace(columns_[i], i);
}

StatusOr<Field> FieldTable::find(const ParsedText& text, const Mark& mark) const {
  if (mark.url && by_name_.contains("urlencode")) {
    return invalid(text.position_in_source(mark.source) +
                   ": {{#urlencode}} percent-encodes the values in it, and the list has a column "
                   "\"urlencode\"; rename the column");
  }
  if (const auto found = by_name_.find(std::string_view(mark.name)); found != by_name_.end()) {
    return Field{FieldSource::kColumn, found->second, mark.name, mark.url};
  }
  for (const auto& [name, source] : kBuiltIns) {
    if (mark.name == name) return Field{source, 0, mark.name, mark.url};
  }
  if (mark.optional) return Field{FieldSource::kNothing, 0, mark.name, mark.url};
  return unknown(text, mark);
}

bool FieldTable::knows(std::string_view name) const {
  return by_name_.contains(name) ||
         std::any_of(std::begin(kBuiltIns), std::end(kBuiltIns),
                     [&](const auto& built_in) { return built_in.first == name; });
}

Status FieldTable::unknown(const ParsedText& text, const Mark& mark) const {
  const std::string where = text.position_in_source(mark.source) + ": ";
  std::vector<std::string_view> known(columns_.begin(), columns_.end());
  for (const auto& [name, source] : kBuiltIns) known.push_back(name);
  const std::string_view near = nearest(mark.name, known);
  std::string message = where + "no column named \"" + escaped(mark.name, 60) + "\"";
  if (!near.empty()) {
    message += "; did you mean \"" + escaped(near, 60) + "\"?";
  } else {
    message += "; the list has: " + escaped(join(columns_, ", "), 200);
  }
  return invalid(message);
}

StatusOr<Field> FieldTable::find_for_address(const ParsedText& text, const Mark& mark) const {
  ASSIGN_OR_RETURN(Field field, find(text, mark));
  if (field.source == FieldSource::kColumn && mark.name == address_column_) {
    field.source = FieldSource::kEmail;
  }
  return field;
}

}  // namespace sluice
