#include "engine/connect/tls_carriage.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"

namespace sluice {

void TlsCarriage::begin() {
  CHECK(first_mark_ == marks_.size());
  made_pieces_ = 0;
  whole_pieces_ = 0;
}

void TlsCarriage::fill(std::span<iovec> pieces) {
  while (made_pieces_ < pieces.size()) {
    // A record at a time: behind it, outgoing() tells where it ends.
    std::array<iovec, kPiecesAtOnce> part;
    size_t count = 0;
    size_t octets = 0;
    for (size_t i = made_pieces_; i < pieces.size(); ++i) {
      if (count == part.size() || octets == kRecord) break;
      const size_t step = std::min(pieces[i].iov_len, kRecord - octets);
      if (step > 0) part[count++] = {pieces[i].iov_base, step};
      octets += step;
    }
    const size_t taken = octets == 0 ? 0 : engine_->write(std::span(part).first(count));
    if (octets > 0 && taken == 0) break;
    size_t left = taken;
    while (made_pieces_ < pieces.size() && pieces[made_pieces_].iov_len <= left) {
      left -= pieces[made_pieces_++].iov_len;
    }
    if (left > 0) {
      iovec& piece = pieces[made_pieces_];
      piece.iov_base = static_cast<char*>(piece.iov_base) + left;
      piece.iov_len -= left;
    }
    marks_.push_back({sent_ + engine_->outgoing().size(), taken, made_pieces_});
  }
}

uint64_t TlsCarriage::sent(size_t octets) {
  if (octets > 0) engine_->sent(octets);
  sent_ += octets;
  uint64_t plain = 0;
  while (first_mark_ < marks_.size() && marks_[first_mark_].end <= sent_) {
    plain += marks_[first_mark_].plain;
    whole_pieces_ = marks_[first_mark_].pieces;
    ++first_mark_;
  }
  if (first_mark_ == marks_.size()) {
    marks_.clear();
    first_mark_ = 0;
  }
  return plain;
}

void TlsCarriage::came(size_t octets) {
  CHECK(input_empty() && octets <= input_.size());
  begin_ = 0;
  end_ = octets;
}

void TlsCarriage::came(std::string_view octets) {
  CHECK(octets.size() <= input_.size());
  std::memcpy(input_.data(), octets.data(), octets.size());
  came(octets.size());
}

size_t TlsCarriage::pull(std::span<char> out) {
  size_t pulled = 0;
  while (pulled < out.size()) {
    const size_t got = engine_->read(out.subspan(pulled));
    pulled += got;
    if (got > 0) continue;
    if (input_empty()) break;
    const size_t took = engine_->receive({input_.data() + begin_, end_ - begin_});
    begin_ += took;
    if (took == 0) {
      // It waits for its octets to be read: now it gives some.
      const size_t more = engine_->read(out.subspan(pulled));
      pulled += more;
      if (more == 0) break;
    }
  }
  return pulled;
}

}  // namespace sluice
