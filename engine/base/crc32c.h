// CRC-32C (Castagnoli, RFC 3720 appendix B.4): the checksum of segments and journal. Any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

// The checksum of `bytes`; pass an earlier result as `before` to go on where it ended.
// Uses the SSE 4.2 instruction where the processor has it.
uint32_t crc32c(std::string_view bytes, uint32_t before = 0);

}  // namespace sluice
