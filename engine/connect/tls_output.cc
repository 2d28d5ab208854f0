#include "engine/connect/tls_output.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/base/check.h"

namespace sluice {

std::unique_ptr<char[]> TlsBlocks::take() {
  if (spare_.empty()) return std::make_unique_for_overwrite<char[]>(bytes_);
  std::unique_ptr<char[]> block = std::move(spare_.back());
  spare_.pop_back();
  return block;
}

void TlsBlocks::give(std::unique_ptr<char[]> block) {
  if (spare_.size() < kSpareMax) spare_.push_back(std::move(block));
}

void TlsOutput::take_block(size_t bytes) {
  const bool large = blocks_ != nullptr && bytes == bytes_max_;
  block_ = large ? blocks_->take() : std::make_unique_for_overwrite<char[]>(bytes);
  capacity_ = bytes;
  begin_ = 0;
  end_ = 0;
}

bool TlsOutput::make_room(size_t wanted) {
  if (!behind_.empty()) return false;
  if (begin_ == end_ && capacity_ < wanted) {
    if (wanted > bytes_max_) return false;
    take_block(wanted <= kSmallBytes ? kSmallBytes : bytes_max_);
  }
  return capacity_ - end_ >= wanted;
}

bool TlsOutput::append(std::string_view octets) {
  if (!make_room(octets.size())) {
    if (behind_.size() + octets.size() > kAppendMax) return false;
    behind_.append(octets);
    return true;
  }
  std::memcpy(block_.get() + end_, octets.data(), octets.size());
  end_ += octets.size();
  return true;
}

void TlsOutput::sent(size_t octets) {
  CHECK(octets <= end_ - begin_);
  begin_ += octets;
  if (begin_ != end_) return;
  begin_ = 0;
  end_ = 0;
  if (behind_.empty()) {
    if (blocks_ != nullptr && capacity_ > kSmallBytes) give_block();
    return;
  }
  if (capacity_ < behind_.size()) take_block(std::max(bytes_max_, behind_.size()));
  std::memcpy(block_.get(), behind_.data(), behind_.size());
  end_ = behind_.size();
  behind_ = std::string();
}

void TlsOutput::give_block() {
  if (blocks_ != nullptr && capacity_ == bytes_max_) blocks_->give(std::move(block_));
  block_.reset();
  capacity_ = 0;
}

void TlsOutput::rest() {
  if (!empty()) return;
  give_block();
  begin_ = 0;
  end_ = 0;
}

}  // namespace sluice
