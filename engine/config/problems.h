// What is wrong with a file: collected, put in the file's order, told at once.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status.h"

namespace sluice::config {

// A place in a file, both from 1; line 0 means the file as a whole.
struct Place {
  uint32_t line = 0;
  uint32_t column = 0;
};

class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}

  void add(Place place, std::string what);
  // Something promised that is not built yet.
  void add_not_built(Place place, std::string what);
  // Lines that carry their own file and place already (of a file that this one names).
  void add_foreign(Place place, std::string lines);

  bool none() const { return entries_.empty(); }
  const std::string& file() const { return file_; }
  // The collected lines, "file:line:column: what" each, sorted by place, at most 50 and then how
  // many more. Status code: `kind`'s, or not_built's when nothing else is wrong. REQUIRES: !none().
  Status status(Status (*kind)(std::string)) const;

 private:
  struct Entry {
    Place place;
    std::string text;
    bool foreign = false;
  };
  std::string file_;
  std::vector<Entry> entries_;
  bool only_not_built_ = true;
};

}  // namespace sluice::config
