// DkimSigner: what a template needs to have its messages signed, made once.
//
// PURPOSE. sign() puts a DKIM-Signature field (RFC 6376) in front of a finished message for each
//   key of the domain in From: relaxed/relaxed, the fields of dkim_header.h, no l=, t= the time of
//   the Date field, so that all attempts of a row are signed alike.
// COST. A body without fields is hashed once. Of a body with fields, what stands before the first
//   is hashed once, and the canonical form of the other constant parts is made once. Then one
//   private operation a key. No allocation in steady state but OpenSSL's own.
// OWNERSHIP. Points into the template's literals, which outlive it; shares the keys.
// THREAD. Immutable; any thread. Each thread that signs keeps a work space with OpenSSL contexts of
//   its own for every key that it used, until the thread ends or the key is gone.
// ERRORS. sign() refuses a row whose From domain has no key (5.7.0), and one that OpenSSL cannot
//   sign now (4.3.5).
// LIMITS. Those of MessageBuffer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"
#include "engine/compose/dkim_body.h"
#include "engine/compose/dkim_key.h"
#include "engine/compose/message_buffer.h"
#include "engine/model/reply.h"

namespace sluice {

// The constant part of a body.
struct DkimPlan {
  struct Piece {
    size_t offset = 0;  // in the literals
    size_t length = 0;
  };
  std::string_view literals;
  std::vector<Piece> pieces;  // all constant parts of the body, in order
  size_t shared_pieces = 0;   // so many stand before all that differs from row to row
  size_t shared_dots = 0;     // so many dots are put between them for the transport
  bool constant = false;      // nothing differs
};

class DkimSigner {
 public:
  // `from_domain`: of the constant address in From, lower-case; empty when it differs from row to
  // row. Null when nothing is to be signed: no keys, or none for that domain.
  static std::unique_ptr<const DkimSigner> make(std::shared_ptr<const DkimKeys> keys,
                                                std::string_view from_domain, const DkimPlan& plan);

  // `buffer` holds a finished message, dot-stuffed or not.
  Reply sign(WallTime date, bool dot_stuffed, MessageBuffer& buffer) const;
  // What bh= holds: the hash of the body, which begins at octet `body` of the message.
  Sha256 hash_body(const MessageBuffer& buffer, size_t body, bool dot_stuffed) const;
  // At least the octets that sign() adds.
  uint64_t bytes_max() const { return keys_->header_bytes_max(); }

 private:
  DkimSigner(std::shared_ptr<const DkimKeys> keys, const std::vector<DkimKeyPtr>* fixed,
             const DkimPlan& plan);
  void hash_piece(std::string_view piece, size_t& next) const;

  std::shared_ptr<const DkimKeys> keys_;
  const std::vector<DkimKeyPtr>* fixed_;  // null: by row
  std::string_view literals_;
  std::vector<DkimLiteral> pieces_;
  BodyHash shared_;           // the state behind the shared pieces
  size_t shared_octets_ = 0;  // of them, without dots
  size_t shared_dots_ = 0;
  bool constant_ = false;
  Sha256 constant_hash_{};
};

}  // namespace sluice
