#include "engine/compose/dkim_body.h"

#include <openssl/evp.h>

#include <cstring>

#include "engine/base/check.h"
#include "engine/compose/dkim_relaxed.h"

namespace sluice {
namespace {

bool is_solid(char c) { return is_plain_octet(c) && c != '\n'; }

}  // namespace

const EVP_MD* sha256_method() {
  static const EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  CHECK(method != nullptr);
  return method;
}

DkimLiteral make_dkim_literal(std::string_view literals, size_t offset, size_t length) {
  DkimLiteral out;
  out.offset = offset;
  out.length = length;
  std::string_view middle = literals.substr(offset, length);
  while (!middle.empty() && !is_solid(middle.front())) {
    middle.remove_prefix(1);
    ++out.head;
  }
  while (!middle.empty() && !is_solid(middle.back())) {
    middle.remove_suffix(1);
    ++out.tail;
  }
  RelaxedState state;
  std::string form;
  add_relaxed(state, middle, false, [&form](std::string_view octets) { form += octets; });
  out.own_form = form == middle;
  if (!out.own_form) out.form = std::move(form);
  return out;
}

BodyHash::BodyHash() : context_(EVP_MD_CTX_new()) {
  CHECK(context_ != nullptr);
  start(false);
}

BodyHash::~BodyHash() { EVP_MD_CTX_free(context_); }

void BodyHash::start(bool unstuff) {
  state_ = {};
  unstuff_ = unstuff;
  short_length_ = 0;
  CHECK(EVP_DigestInit_ex2(context_, sha256_method(), nullptr) == 1);
}

void BodyHash::resume(const BodyHash& state, bool unstuff) {
  DCHECK(state.short_length_ == 0);
  state_ = state.state_;
  unstuff_ = unstuff;
  short_length_ = 0;
  CHECK(EVP_MD_CTX_copy_ex(context_, state.context_) == 1);
}

void BodyHash::settle() { flush(); }

void BodyHash::flush() {
  if (short_length_ == 0) return;
  CHECK(EVP_DigestUpdate(context_, short_.data(), short_length_) == 1);
  short_length_ = 0;
}

void BodyHash::give(std::string_view octets) {
  if (octets.size() > short_.size() - short_length_) {
    flush();
    if (octets.size() > short_.size()) {
      CHECK(EVP_DigestUpdate(context_, octets.data(), octets.size()) == 1);
      return;
    }
  }
  std::memcpy(short_.data() + short_length_, octets.data(), octets.size());
  short_length_ += octets.size();
}

void BodyHash::resolve() {
  resolve_relaxed(state_, [this](std::string_view octets) { give(octets); });
}

void BodyHash::add(std::string_view octets) {
  add_relaxed(state_, octets, unstuff_, [this](std::string_view given) { give(given); });
}

void BodyHash::add(const DkimLiteral& literal, const char* octets) {
  const size_t middle = literal.length - literal.head - literal.tail;
  add(std::string_view(octets, literal.head));
  // A CR that waits, or a dot that may be the transport's, is looked at octet by octet.
  const bool dot = middle > 0 && unstuff_ && state_.line_begins && octets[literal.head] == '.';
  if (state_.cr || dot || middle == 0) {
    add(std::string_view(octets + literal.head, middle));
  } else {
    resolve();
    give(literal.own_form ? std::string_view(octets + literal.head, middle)
                          : std::string_view(literal.form));
    state_.line_begins = false;
  }
  add(std::string_view(octets + literal.head + middle, literal.tail));
}

Sha256 BodyHash::finish() {
  finish_relaxed(state_, [this](std::string_view octets) { give(octets); });
  flush();
  Sha256 digest{};
  CHECK(EVP_DigestFinal_ex(context_, digest.data(), nullptr) == 1);
  return digest;
}

}  // namespace sluice
