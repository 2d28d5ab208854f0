// A list in JSON lines gives the same rows however it comes in pieces and wherever reading begins
// anew; a row is good exactly when an independent parser finds a flat object with known keys in it.
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/spool/jsonl_reader.h"
#include "tests/fuzz/list_rows.h"

namespace sluice::fuzz {
namespace {

using Json = nlohmann::ordered_json;

// A good row says of each key what nlohmann's own document says of it.
void check_values(const KeptRow& row, const std::vector<std::string>& columns) {
  const Json object = Json::parse(row.raw, nullptr, false);
  CHECK(object.is_object());
  for (const auto& [key, value] : object.items()) {
    const auto column = std::find(columns.begin(), columns.end(), key);
    CHECK(column != columns.end());
    const std::string& text = row.values[static_cast<size_t>(column - columns.begin())];
    if (value.is_string()) CHECK(text == value.get<std::string>());
    if (value.is_boolean()) CHECK(text == (value.get<bool>() ? "true" : "false"));
    if (value.is_null()) CHECK(text.empty());
    if (value.is_number_integer()) CHECK(text == value.dump());
    if (value.is_number_float()) CHECK(std::stod(text) == value.get<double>());
    CHECK(value.is_primitive());
  }
  for (size_t i = 0; i < columns.size(); ++i) {
    if (!object.contains(columns[i])) CHECK(row.values[i].empty());
  }
}

// A bad row that is not too long has something wrong.
void check_error(const KeptRow& row, const std::vector<std::string>& columns) {
  // To nlohmann a NUL is the end of the text.
  if (row.raw.find('\0') != std::string::npos) return;
  const Json object = Json::parse(row.raw, nullptr, false);
  if (!object.is_object()) return;
  bool fine = object.dump(-1, ' ', false, Json::error_handler_t::replace).find("\\u0000") ==
              std::string::npos;
  size_t keys = 0;
  for (const auto& [key, value] : object.items()) {
    ++keys;
    fine = fine && value.is_primitive() &&
           std::find(columns.begin(), columns.end(), key) != columns.end();
  }
  // A key twice is one in nlohmann's document; so is it here only where the text has it once.
  if (fine) CHECK(row.error.find("twice") != std::string::npos || keys == 0);
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  using namespace sluice::fuzz;
  Input input(data, size);
  Limits limits;
  const bool tiny = input.flag();
  if (tiny) limits.row_bytes_max = 48;
  if (input.flag()) limits.columns_max = 3;
  const size_t from = input.choice();
  const std::string_view lengths = input.choices(1 + input.below(8));
  const std::string_view octets = input.rest();

  JsonlReader whole("list.jsonl", limits);
  const KeptList list = read_list(whole, octets, Cutter());
  check_list(list, octets, limits.row_bytes_max);
  JsonlReader pieces("list.jsonl", limits);
  CHECK(list == read_list(pieces, octets, Cutter(lengths)));
  if (!list.rows.empty()) {
    check_seek(pieces, list, octets, from % list.rows.size(), Cutter(lengths));
  }
  for (const KeptRow& row : list.rows) {
    if (row.error.empty()) {
      check_values(row, list.columns);
    } else if (!tiny) {
      check_error(row, list.columns);
    }
  }
  return 0;
}
