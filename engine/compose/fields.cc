#include "engine/compose/fields.h"

#include <charconv>
#include <iterator>
#include <utility>

namespace sluice {
namespace {

constexpr std::pair<std::string_view, FieldSource> kBuiltIns[] = {
    {"email", FieldSource::kEmail},
    {"local_part", FieldSource::kLocalPart},
    {"domain", FieldSource::kDomain},
    {"job", FieldSource::kJob},
    {"row", FieldSource::kRow}};

}  // namespace

RowValues::RowValues(const Row& row, std::string_view job_id) : row_(row), job_id_(job_id) {
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
  }
  return {};
}

FieldTable::FieldTable(const std::vector<std::string>& columns, std::string_view address_column)
    : columns_(columns), address_column_(address_column) {
  for (uint32_t i = 0; i < columns_.size(); ++i) by_name_.try_emplace(columns_[i], i);
}

StatusOr<Field> FieldTable::find(const ParsedText& text, const Mark& mark) const {
  if (const auto found = by_name_.find(std::string_view(mark.name)); found != by_name_.end()) {
    return Field{FieldSource::kColumn, found->second, mark.name};
  }
  for (const auto& [name, source] : kBuiltIns) {
    if (mark.name == name) return Field{source, 0, mark.name};
  }
  const std::string where = text.position_in_source(mark.source) + ": ";
  if (mark.name == "token") {
    return not_built(where +
                     "{{token}} is not built yet; give the list a column named \"token\" instead");
  }
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
