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
#include "engine/compose/token.h"
#include "engine/model/row.h"

namespace sluice {

// kNothing: a name in a section that no column has; its value is empty.
enum class FieldSource : uint8_t {
  kColumn,
  kEmail,
  kLocalPart,
  kDomain,
  kJob,
  kRow,
  kToken,
  kNothing
};

// A field of one place of a template.
struct Field {
  FieldSource source = FieldSource::kColumn;
  uint32_t column = 0;  // of kColumn
  std::string name;     // as the template writes it, for messages
  bool url = false;     // its value is percent-encoded
};

// The values of one row; lives for one composition. The row must outlive it.
class RowValues {
 public:
  // `tokens` null: {{token}} is kTokenChars times "x".
  RowValues(const Row& row, std::string_view job_id, const TokenMaker* tokens);
  RowValues(const RowValues&) = delete;
  RowValues& operator=(const RowValues&) = delete;

  // Empty for a column that the row lacks. Valid as long as this object and the row.
  std::string_view of(const Field& field) const;
  const Row& row() const { return row_; }
  std::string_view row_number() const { return {number_, number_length_}; }

 private:
  const Row& row_;
  std::string_view job_id_;
  const TokenMaker* tokens_;
  // Made when it is asked for.
  mutable Token token_{};
  mutable bool has_token_ = false;
  char number_[24];
  size_t number_length_ = 0;
};

// Appends `value` with all octets but letters, digits, "-", ".", "_" and "~" as %XX (RFC 3986).
inline constexpr size_t kPercentGrowth = 3;
void append_percent_encoded(std::string& out, std::string_view value);

class FieldTable {
 public:
  // `address_column` is the column of the list that holds the recipient's address.
  FieldTable(const std::vector<std::string>& columns, std::string_view address_column);

  // The field of a mark of `text`; a column wins over a built-in of its name. An unknown name is
  // an error with its place and the nearest name that there is, but for an optional mark.
  StatusOr<Field> find(const ParsedText& text, const Mark& mark) const;
  // The same for a place that wants an address: the address column is the normalised address.
  StatusOr<Field> find_for_address(const ParsedText& text, const Mark& mark) const;
  bool knows(std::string_view name) const;

 private:
  Status unknown(const ParsedText& text, const Mark& mark) const;

  std::vector<std::string> columns_;
  StringMap<uint32_t> by_name_;
  std::string address_column_;
};

}  // namespace sluice
