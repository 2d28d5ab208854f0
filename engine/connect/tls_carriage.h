// A send's pieces and a peer's records on their way through a TlsEngine.
//
// PURPOSE. What a channel needs beside the engine: it cuts pieces into records and knows which of
// them have wholly left, and holds what came until the engine takes it. No socket.
// OWNERSHIP. The engine; what waits of the peer's. The pieces are the channel's.
// THREAD. One shard's.
// LIMITS. kInputBytes of what came; ahead of the socket as much as the engine makes.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/connect/tls.h"

namespace sluice {

class TlsCarriage {
 public:
  explicit TlsCarriage(std::unique_ptr<TlsEngine> engine) : engine_(std::move(engine)) {}

  TlsEngine& engine() { return *engine_; }
  const TlsEngine& engine() const { return *engine_; }

  // --- out -------------------------------------------------------------------------------------
  // A new send begins. REQUIRES: all of the one before has left.
  void begin();
  // Makes records of `pieces`, always those of the same send, as many as the engine takes; what was
  // taken is cut off them. REQUIRES: the engine is open.
  void fill(std::span<iovec> pieces);
  // The socket took so many of the engine's octets. Gives the plain ones whose records are out.
  uint64_t sent(size_t octets);
  // Pieces whose records have all left.
  size_t whole_pieces() const { return whole_pieces_; }

  // --- in --------------------------------------------------------------------------------------
  // Where the socket's octets are to go. REQUIRES: input_empty().
  std::span<char> room() { return input_; }
  void came(size_t octets);
  // The same from elsewhere. REQUIRES: input_empty(), and no more than room().
  void came(std::string_view octets);
  bool input_empty() const { return begin_ == end_; }
  // Plain octets, until `out` is full or nothing waits that makes any.
  size_t pull(std::span<char> out);

 private:
  static constexpr size_t kInputBytes = 2'048;  // replies; a server's flight comes in two or three
  static constexpr size_t kRecord = 16'384;
  static constexpr size_t kPiecesAtOnce = 64;
  // A record, or some: where they end among all octets of the session, and what is in them.
  struct Mark {
    uint64_t end = 0;
    uint64_t plain = 0;
    size_t pieces = 0;  // of the send, that end at or before it
  };

  std::unique_ptr<TlsEngine> engine_;
  uint64_t sent_ = 0;  // the engine's octets, since the session began
  std::vector<Mark> marks_;
  size_t first_mark_ = 0;
  size_t made_pieces_ = 0;
  size_t whole_pieces_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
  std::array<char, kInputBytes> input_;
};

}  // namespace sluice
