// What a parser of TOML files may say, and what every value of one must be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/status.h"
#include "engine/base/strings.h"
#include "engine/config/quantity.h"
#include "engine/model/policy.h"

namespace sluice::fuzz {

// Lines "file: what" or "file:line:column: what", printable.
inline void check_error(const std::string& message, const std::vector<std::string>& files) {
  CHECK(is_utf8(message));
  const std::vector<std::string_view> lines = split(message, '\n');
  CHECK(lines.size() <= 51 * (1 + files.size()));
  for (const std::string_view line : lines) {
    bool named = false;
    for (const std::string& file : files) {
      named = named || (line.starts_with(file + ":") && line.size() > file.size() + 2);
    }
    CHECK(named);
    for (const char c : line) CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
  }
}

inline void check_rate(const Rate& rate) {
  CHECK(rate.amount > 0 && rate.period > Duration::zero() && rate.burst > 0);
  const StatusOr<Rate> again = parse_rate(to_string(rate));
  CHECK(again.ok());
  CHECK(again->amount == rate.amount && again->period == rate.period);
}

}  // namespace sluice::fuzz
