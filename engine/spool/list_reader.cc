#include "engine/spool/list_reader.h"

#include "engine/base/strings.h"

namespace sluice {
namespace {

bool drop_ending(std::string_view& name, std::string_view ending) {
  if (name.size() < ending.size()) return false;
  if (!equals_ignore_case(name.substr(name.size() - ending.size()), ending)) return false;
  name.remove_suffix(ending.size());
  return true;
}

}  // namespace

bool is_jsonl_name(std::string_view file_name) {
  if (!drop_ending(file_name, ".gz")) drop_ending(file_name, ".zst");
  return drop_ending(file_name, ".jsonl");
}

ListReader::ListReader(const std::string& file_name, const Limits& limits) {
  if (is_jsonl_name(file_name)) {
    jsonl_.emplace(file_name, limits);
  } else {
    csv_.emplace(file_name, limits);
  }
}

void ListReader::feed(std::string_view octets) {
  if (csv_) {
    csv_->feed(octets);
  } else {
    jsonl_->feed(octets);
  }
}

void ListReader::finish() {
  if (csv_) {
    csv_->finish();
  } else {
    jsonl_->finish();
  }
}

ListResult ListReader::next(ListRecord& record) {
  return csv_ ? csv_->next(record) : jsonl_->next(record);
}

void ListReader::seek(const ListPosition& position) {
  if (csv_) {
    csv_->seek(position);
  } else {
    jsonl_->seek(position);
  }
}

const ListPosition& ListReader::position() const {
  return csv_ ? csv_->position() : jsonl_->position();
}

const std::vector<std::string>& ListReader::columns() const {
  return csv_ ? csv_->columns() : jsonl_->columns();
}

const Status& ListReader::status() const { return csv_ ? csv_->status() : jsonl_->status(); }

}  // namespace sluice
