// A CSV list gives the same rows however it comes in pieces and wherever reading begins anew; what
// was written by RFC 4180 is read as it was meant.
#include <string>
#include <string_view>
#include <vector>

#include "engine/spool/csv_reader.h"
#include "tests/fuzz/list_rows.h"

namespace sluice::fuzz {
namespace {

void check_any(std::string_view octets, std::string_view lengths, const Limits& limits,
               size_t from) {
  CsvReader whole("list.csv", limits);
  const KeptList list = read_list(whole, octets, Cutter());
  check_list(list, octets, limits.row_bytes_max);
  CsvReader pieces("list.csv", limits);
  CHECK(list == read_list(pieces, octets, Cutter(lengths)));
  CHECK(whole.delimiter() == pieces.delimiter());
  if (!list.rows.empty()) {
    check_seek(pieces, list, octets, from % list.rows.size(), Cutter(lengths));
  }
}

std::string quoted(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) out.append(c == '"' ? 2 : 1, c);
  return out + "\"";
}

// Fields become a list of two columns.
void check_written(std::string_view fields, std::string_view lengths) {
  Input input(reinterpret_cast<const uint8_t*>(fields.data()), fields.size());
  std::string octets = "a;b\r\n";
  std::vector<std::vector<std::string>> meant;
  while (!input.empty()) {
    const std::string a(input.field());
    const std::string b(input.field());
    if (!is_utf8(a) || !is_utf8(b) || (a + b).find('\0') != std::string::npos) return;
    octets += quoted(a) + ";" + quoted(b) + "\r\n";
    meant.push_back({a, b});
  }
  CsvReader reader("list.csv", Limits{});
  const KeptList list = read_list(reader, octets, Cutter(lengths));
  CHECK(!list.failed && list.rows.size() == meant.size());
  for (size_t i = 0; i < meant.size(); ++i) {
    CHECK(list.rows[i].error.empty() && list.rows[i].values == meant[i]);
  }
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  fuzz::Input input(data, size);
  Limits limits;
  if (input.flag()) limits.row_bytes_max = 48;
  if (input.flag()) limits.columns_max = 3;
  const size_t from = input.choice();
  const std::string_view lengths = input.choices(1 + input.below(8));
  const std::string_view octets = input.rest();
  fuzz::check_any(octets, lengths, limits, from);
  fuzz::check_written(octets, lengths);
  return 0;
}
