// The body of a message as DKIM hashes it: "relaxed" (RFC 6376 §3.4.4), SHA-256, in pieces.
//
// PURPOSE. BodyHash hashes the canonical form of octets that come piece by piece: runs of blanks
//   become one space, blanks before a line end and empty lines at the end go (dkim_relaxed.h). A
//   DkimLiteral is a constant piece of a body whose canonical form was made once:
//   between its first and its last octet that is neither blank nor line end, that form depends on
//   nothing before it.
// OWNERSHIP. A BodyHash owns its context of OpenSSL's and is used again and again: start() or
//   resume() begins anew. A saved state is a BodyHash that others resume from.
// THREAD. One at a time; many may resume from a state that nobody changes.
// LIMITS. None: what waits is counted, not kept.
// BUGS. A lone CR or LF is an octet like any other, which RFC 6376 leaves open.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/digest.h"

// OpenSSL's EVP_MD and EVP_MD_CTX.
struct evp_md_st;
struct evp_md_ctx_st;

namespace sluice {

// Where the stream stands; a copy goes on from there.
struct RelaxedState {
  uint64_t line_ends = 0;   // CRLFs that count only when something follows
  bool blank = false;       // blanks that count only when something follows on the line
  bool cr = false;          // a CR whose LF may come
  bool line_begins = true;  // of the octets as given, for unstuffing
  bool any = false;         // something was given out
};

// A constant part of a template's body.
struct DkimLiteral {
  size_t offset = 0;  // in the template's literals
  size_t length = 0;
  size_t head = 0;        // octets before the first that is neither blank nor line end
  size_t tail = 0;        // octets behind the last such
  bool own_form = false;  // what is between them is its own canonical form
  std::string form;       // else that form
};

DkimLiteral make_dkim_literal(std::string_view literals, size_t offset, size_t length);

// SHA-256, looked up once: OpenSSL looks EVP_sha256() up each time, under a lock of all threads.
const evp_md_st* sha256_method();

class BodyHash {
 public:
  BodyHash();
  ~BodyHash();
  BodyHash(const BodyHash&) = delete;
  BodyHash& operator=(const BodyHash&) = delete;

  // From the beginning of a body. `unstuff`: the first dot of a line that begins with one is the
  // transport's (RFC 5321 §4.5.2), not the body's.
  void start(bool unstuff);
  // From where `state` stands. REQUIRES: settle() was called on it.
  void resume(const BodyHash& state, bool unstuff);
  void add(std::string_view octets);
  // add() of a literal's octets, which are whole and stand at `octets`.
  void add(const DkimLiteral& literal, const char* octets);
  // Makes this a state to resume from.
  void settle();
  Sha256 finish();

 private:
  void give(std::string_view octets);
  void flush();
  void resolve();

  RelaxedState state_;
  bool unstuff_ = false;
  evp_md_ctx_st* context_;
  // What is too short for a call of OpenSSL's.
  std::array<char, 256> short_{};
  size_t short_length_ = 0;
};

}  // namespace sluice
