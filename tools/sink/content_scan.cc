#include "tools/sink/content_scan.h"

#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace sluice::sink {
namespace {

constexpr std::string_view kEnd = "\r\n.\r\n";

// The next state after `octet` (Knuth, Morris and Pratt).
uint8_t step(uint8_t matched, char octet) {
  if (octet == kEnd[matched]) return static_cast<uint8_t>(matched + 1);
  // After CR LF "." CR only a CR is left of it; every other state leaves nothing.
  return octet == '\r' ? 1 : 0;
}

// The first "\n." at or after `from`; npos when there is none.
size_t find_line_dot(std::string_view text, size_t from) {
  size_t i = from;
#ifdef __SSE2__
  const __m128i newlines = _mm_set1_epi8('\n');
  const __m128i dots = _mm_set1_epi8('.');
  for (; i + 17 <= text.size(); i += 16) {
    const void* here = text.data() + i;
    const void* next = text.data() + i + 1;
    const __m128i a = _mm_loadu_si128(static_cast<const __m128i*>(here));
    const __m128i b = _mm_loadu_si128(static_cast<const __m128i*>(next));
    const __m128i both = _mm_and_si128(_mm_cmpeq_epi8(a, newlines), _mm_cmpeq_epi8(b, dots));
    const int mask = _mm_movemask_epi8(both);
    if (mask != 0) return i + static_cast<size_t>(__builtin_ctz(static_cast<unsigned>(mask)));
  }
#endif
  return text.find("\n.", i);
}

}  // namespace

size_t ContentScan::feed(std::string_view piece, bool& ended) {
  ended = false;
  size_t i = 0;
  while (i < piece.size() && matched_ != 0) {
    matched_ = step(matched_, piece[i++]);
    if (matched_ == kEnd.size()) {
      ended = true;
      return i;
    }
  }
  // Nothing is matched here, so an end that lies in this piece lies in it whole.
  for (size_t at = i; (at = find_line_dot(piece, at)) != std::string_view::npos; ++at) {
    if (at > i && piece.size() - at >= 4 && piece.substr(at - 1, kEnd.size()) == kEnd) {
      ended = true;
      return at + 4;
    }
  }
  const size_t tail = piece.size() - i < 4 ? i : piece.size() - 4;
  for (size_t at = tail; at < piece.size(); ++at) matched_ = step(matched_, piece[at]);
  return piece.size();
}

size_t remove_dot_stuffing(char* content, size_t length) {
  size_t to = 0;
  // What stands before `from`, as it was before anything moved.
  char before = '\n';
  char before_that = '\r';
  for (size_t from = 0; from < length; ++from) {
    const char octet = content[from];
    const bool stuffed = octet == '.' && before == '\n' && before_that == '\r';
    before_that = before;
    before = octet;
    if (!stuffed) content[to++] = octet;
  }
  return to;
}

}  // namespace sluice::sink
