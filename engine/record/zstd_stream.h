// Zstandard, octets by octets: what rotated event files are packed with.
//
// OWNERSHIP. Both own their state; octets are copied. THREAD. Any, one at a time. Pure: no I/O.
// ERRORS. Unpacking: error() names what is wrong. LIMITS. 4 MiB each; windows of at most 8 MiB.
// BUGS. None known.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace sluice {

class ZstdPacker {
 public:
  ZstdPacker();
  ~ZstdPacker();
  ZstdPacker(const ZstdPacker&) = delete;
  ZstdPacker& operator=(const ZstdPacker&) = delete;
  // Appends what is ready to `out`; with `last` the frame's end too.
  void add(std::string_view octets, bool last, std::string& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class ZstdUnpacker {
 public:
  ZstdUnpacker();
  ~ZstdUnpacker();
  ZstdUnpacker(const ZstdUnpacker&) = delete;
  ZstdUnpacker& operator=(const ZstdUnpacker&) = delete;
  // Takes octets from the front of `octets` and appends up to 128 KiB to `out`. False: error().
  bool unpack(std::string_view& octets, std::string& out);
  // A frame is not at its end.
  bool is_open() const { return open_; }
  const char* error() const { return error_; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  bool open_ = false;
  const char* error_ = "";
};

}  // namespace sluice
