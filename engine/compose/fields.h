// Fields: names of columns and built-ins, looked up once, fetched for each row.
//
// A FieldTable is made while a template is compiled and immutable afterwards; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/strings.h"
#include "engine/compose/mustache.h"
#include "engine/model/row.h"

namespace sluice {

enum class FieldSource : uint8_t { kColumn, kEmail, kLocalPart, kDomain, kJob, kRow };

// A field of one place of a template.
struct Field {
  FieldSource source = FieldSource::kColumn;
  uint32_t column = 0;  // of kColumn
  std::string name;     // as the template writes it, for messages
};

// The values of one row; lives for one composition. The row must outlive it.
class RowValues {
 public:
  RowValues(const Row& row, std::string_view job_id);
  RowValues(const RowValues&) = delete;
  RowValues& operator=(const RowValues&) = delete;

  // Empty for a column that the row lacks. Valid as long as this object and the row.
  std::string_view of(const Field& field) const;
  const Row& row() const { return row_; }
  std::string_view row_number() const { return {number_, number_length_}; }

 private:
  const Row& row_;
  std::string_view job_id_;
  char number_[24];
  size_t number_length_ = 0;
};

class FieldTable {
 public:
  // `address_column` is the column of the list that holds the recipient's address.
  FieldTable(const std::vector<std::string>& columns, std::string_view address_column);

  // The field of a mark of `text`; a column wins over a built-in of its name. An unknown name is
  // an error with its place and the nearest name that there is.
  StatusOr<Field> find(const ParsedText& text, const Mark& mark) const;
  // The same for a place that wants an address: the address column is the normalised address.
  StatusOr<Field> find_for_address(const ParsedText& text, const Mark& mark) const;

 private:
  std::vector<std::string> columns_;
  StringMap<uint32_t> by_name_;
  std::string address_column_;
};

}  // namespace sluice
