#include "engine/compose/message_buffer.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "engine/base/check.h"

namespace sluice {
namespace {

// Of the arena: the first chunk holds what most messages need beside their template.
constexpr size_t kFirstChunkBytes = 2UL << 10;
constexpr size_t kChunkBytes = 8UL << 10;
// Below this, copying costs less than the kernel's handling of one more piece.
constexpr size_t kCopiedBytes = 256;

constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

char* put_text(char* out, std::string_view text) {
  return std::copy(text.begin(), text.end(), out);
}

char* put_two(char* out, uint64_t number) {
  *out++ = static_cast<char>('0' + number / 10 % 10);
  *out++ = static_cast<char>('0' + number % 10);
  return out;
}

}  // namespace

void MessageBuffer::clear() {
  bytes_ = 0;
  pieces_.clear();
  size_t kept = 0;
  size_t keep = 0;
  while (keep < chunks_.size() && kept + chunks_[keep].size <= kKeptBytes) {
    kept += chunks_[keep++].size;
  }
  chunks_.erase(chunks_.begin() + static_cast<std::ptrdiff_t>(keep), chunks_.end());
  chunk_ = 0;
  used_ = 0;
}

void MessageBuffer::next_chunk(size_t least) {
  if (!chunks_.empty()) ++chunk_;
  used_ = 0;
  while (chunk_ < chunks_.size() && chunks_[chunk_].size < least) ++chunk_;
  if (chunk_ < chunks_.size()) return;
  const size_t size = std::max(chunks_.empty() ? kFirstChunkBytes : kChunkBytes, least);
  // Plain new: octets that are written before they are read need no zeroing.
  chunks_.push_back({std::unique_ptr<char[]>(new char[size]), size});
  chunk_ = chunks_.size() - 1;
}

char* MessageBuffer::reserve(size_t count) {
  if (chunks_.empty() || chunks_[chunk_].size - used_ < count) next_chunk(count);
  return chunks_[chunk_].octets.get() + used_;
}

void MessageBuffer::push_piece(const char* begin, size_t count) {
  bytes_ += count;
  if (!pieces_.empty()) {
    iovec& last = pieces_.back();
    if (static_cast<const char*>(last.iov_base) + last.iov_len == begin) {
      last.iov_len += count;
      return;
    }
  }
  pieces_.push_back({const_cast<char*>(begin), count});
}

void MessageBuffer::commit(size_t count) {
  if (count == 0) return;
  CHECK(chunks_[chunk_].size - used_ >= count);
  push_piece(chunks_[chunk_].octets.get() + used_, count);
  used_ += count;
}

void MessageBuffer::commit_in_front(size_t count) {
  CHECK(count > 0 && chunks_[chunk_].size - used_ >= count);
  pieces_.insert(pieces_.begin(), {chunks_[chunk_].octets.get() + used_, count});
  bytes_ += count;
  used_ += count;
}

void MessageBuffer::append(std::string_view octets) {
  if (octets.empty()) return;
  std::memcpy(reserve(octets.size()), octets.data(), octets.size());
  commit(octets.size());
}

void MessageBuffer::append_constant(std::string_view octets) {
  if (octets.size() < kCopiedBytes) {
    append(octets);
  } else {
    push_piece(octets.data(), octets.size());
  }
}

std::string_view MessageBuffer::date_text(WallTime date) {
  const int64_t second = unix_seconds(date);
  if (second == date_second_) return {date_, date_length_};
  using std::chrono::days;
  using std::chrono::floor;
  const std::chrono::sys_seconds moment{std::chrono::seconds(second)};
  const std::chrono::sys_days day = floor<days>(moment);
  const std::chrono::year_month_day calendar(day);
  const auto in_day = static_cast<uint64_t>((moment - day).count());
  // RFC 5322 years have four digits; a clock outside them is clamped.
  const auto year =
      static_cast<uint64_t>(std::clamp(static_cast<int>(calendar.year()), 1900, 9999));
  char* out = put_text(date_, kDays[std::chrono::weekday(day).c_encoding()]);
  *out++ = ',';
  *out++ = ' ';
  out = put_two(out, static_cast<unsigned>(calendar.day()));
  *out++ = ' ';
  out = put_text(out, kMonths[static_cast<unsigned>(calendar.month()) - 1]);
  *out++ = ' ';
  out = put_two(put_two(out, year / 100), year % 100);
  *out++ = ' ';
  out = put_two(out, in_day / 3600);
  *out++ = ':';
  out = put_two(out, in_day / 60 % 60);
  *out++ = ':';
  out = put_two(out, in_day % 60);
  out = put_text(out, " +0000");
  date_length_ = static_cast<size_t>(out - date_);
  date_second_ = second;
  return {date_, date_length_};
}

}  // namespace sluice
