// The reader of a list, whatever its form: chosen by the file's name.
//
// ".jsonl" (also ".jsonl.gz", ".jsonl.zst", in any case) is JSON lines, every other name CSV. Use,
// ownership, thread, errors and limits: as CsvReader and JsonlReader.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/limits.h"
#include "engine/spool/csv_reader.h"
#include "engine/spool/jsonl_reader.h"
#include "engine/spool/list_record.h"

namespace sluice {

// Whether a list of this name is JSON lines.
bool is_jsonl_name(std::string_view file_name);

class ListReader {
 public:
  ListReader(const std::string& file_name, const Limits& limits);
  ListReader(const ListReader&) = delete;
  ListReader& operator=(const ListReader&) = delete;

  void feed(std::string_view octets);
  void finish();
  ListResult next(ListRecord& record);
  void seek(const ListPosition& position);
  const ListPosition& position() const;
  const std::vector<std::string>& columns() const;
  const Status& status() const;

 private:
  // Exactly one of the two.
  std::optional<CsvReader> csv_;
  std::optional<JsonlReader> jsonl_;
};

}  // namespace sluice
