#include "engine/record/zstd_stream.h"

#include <zstd.h>

#include <utility>

#include "engine/base/check.h"

namespace sluice {
namespace {

constexpr int kLevel = 3;
constexpr int kWindowLog = 21;
constexpr int kWindowLogMax = 23;

}  // namespace

struct ZstdPacker::State {
  State() {
    for (const auto& [parameter, value] :
         {std::pair{ZSTD_c_compressionLevel, kLevel}, std::pair{ZSTD_c_windowLog, kWindowLog},
          std::pair{ZSTD_c_checksumFlag, 1}}) {
      CHECK(ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)) == 0);
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { ZSTD_freeCCtx(context); }
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  std::string buffer = std::string(ZSTD_CStreamOutSize(), '\0');
};

ZstdPacker::ZstdPacker() : state_(std::make_unique<State>()) {}
ZstdPacker::~ZstdPacker() = default;

void ZstdPacker::add(std::string_view octets, bool last, std::string& out) {
  ZSTD_inBuffer in{octets.data(), octets.size(), 0};
  size_t left = 1;
  while (in.pos < in.size || (last && left > 0)) {
    ZSTD_outBuffer packed{state_->buffer.data(), state_->buffer.size(), 0};
    left = ZSTD_compressStream2(state_->context, &packed, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    CHECK(ZSTD_isError(left) == 0);
    out.append(state_->buffer, 0, packed.pos);
  }
}

struct ZstdUnpacker::State {
  State() {
    CHECK(ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, kWindowLogMax)) == 0);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { ZSTD_freeDCtx(context); }
  ZSTD_DCtx* const context = ZSTD_createDCtx();
  std::string buffer = std::string(ZSTD_DStreamOutSize(), '\0');
};

ZstdUnpacker::ZstdUnpacker() : state_(std::make_unique<State>()) {}
ZstdUnpacker::~ZstdUnpacker() = default;

bool ZstdUnpacker::unpack(std::string_view& octets, std::string& out) {
  ZSTD_inBuffer in{octets.data(), octets.size(), 0};
  ZSTD_outBuffer plain{state_->buffer.data(), state_->buffer.size(), 0};
  const size_t left = ZSTD_decompressStream(state_->context, &plain, &in);
  if (ZSTD_isError(left) != 0) {
    error_ = ZSTD_getErrorName(left);
    return false;
  }
  octets.remove_prefix(in.pos);
  open_ = left != 0;
  out.append(state_->buffer, 0, plain.pos);
  return true;
}

}  // namespace sluice
