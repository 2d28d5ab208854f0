#include "engine/compose/dkim_signer.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <functional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/compose/base64.h"
#include "engine/compose/dkim_header.h"

namespace sluice {
namespace {

constexpr std::string_view kEndOfHeaders = "\r\n\r\n";
constexpr size_t kSignatureBytesMax = kRsaBitsMax / 8;

std::string_view octets_of(const unsigned char* octets, size_t count) {
  return {reinterpret_cast<const char*>(octets), count};
}

// OpenSSL's contexts for one key and thread. The key is a copy: its blinding is this thread's, so
// that no thread waits for another.
class KeyContexts {
 public:
  explicit KeyContexts(const DkimKeyPtr& key) : owner_(key), key_(EVP_PKEY_dup(key->get())) {
    CHECK(key_ != nullptr);
    if (key->algorithm() == DkimAlgorithm::kRsaSha256) {
      rsa_ = EVP_PKEY_CTX_new(key_, nullptr);
      CHECK(rsa_ != nullptr && EVP_PKEY_sign_init(rsa_) == 1);
      CHECK(EVP_PKEY_CTX_set_rsa_padding(rsa_, RSA_PKCS1_PADDING) == 1);
      CHECK(EVP_PKEY_CTX_set_signature_md(rsa_, EVP_sha256()) == 1);
    } else {
      ed25519_ = EVP_MD_CTX_new();
      CHECK(ed25519_ != nullptr);
    }
  }
  KeyContexts(const KeyContexts&) = delete;
  KeyContexts& operator=(const KeyContexts&) = delete;
  ~KeyContexts() {
    EVP_PKEY_CTX_free(rsa_);
    EVP_MD_CTX_free(ed25519_);
    EVP_PKEY_free(key_);
  }

  bool gone() const { return owner_.expired(); }

  // The length of the signature of a digest, 0 when OpenSSL fails.
  size_t sign(const Sha256& digest, std::array<unsigned char, kSignatureBytesMax>& out) {
    size_t length = out.size();
    bool done = false;
    if (rsa_ != nullptr) {
      done = EVP_PKEY_sign(rsa_, out.data(), &length, digest.data(), digest.size()) == 1;
    } else {
      done = sign_ed25519(digest, out, length);
    }
    if (done) return length;
    ERR_clear_error();
    return 0;
  }

 private:
  // RFC 8463 §3: the digest is what is signed. OpenSSL 3.0 signs again and again in a context that
  // was initialised once; where another version wants that anew for each, it is done.
  bool sign_ed25519(const Sha256& digest, std::array<unsigned char, kSignatureBytesMax>& out,
                    size_t& length) {
    const auto sign_once = [&] {
      length = out.size();
      return EVP_DigestSign(ed25519_, out.data(), &length, digest.data(), digest.size()) == 1;
    };
    if (initialised_ && sign_once()) return true;
    ERR_clear_error();
    initialised_ = EVP_DigestSignInit(ed25519_, nullptr, nullptr, nullptr, key_) == 1;
    return initialised_ && sign_once();
  }

  std::weak_ptr<const DkimKey> owner_;
  EVP_PKEY* key_;
  EVP_PKEY_CTX* rsa_ = nullptr;
  EVP_MD_CTX* ed25519_ = nullptr;
  bool initialised_ = false;
};

// What a thread keeps from message to message.
struct Workspace {
  BodyHash body;
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
  std::string headers;
  std::string canonical;
  std::string domain;
  std::string body_hash;  // base64
  std::string signature;  // the same
  DkimFields fields;
  SignatureText text;
  absl::flat_hash_map<uint64_t, std::unique_ptr<KeyContexts>> contexts;

  Workspace() = default;
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() { EVP_MD_CTX_free(digest); }

  KeyContexts& contexts_of(const DkimKeyPtr& key) {
    const auto found = contexts.find(key->number());
    if (found != contexts.end()) return *found->second;
    absl::erase_if(contexts, [](const auto& entry) { return entry.second->gone(); });
    return *(contexts[key->number()] = std::make_unique<KeyContexts>(key));
  }

  // Copies the headers out of the message, empty line included; returns how long they are. All of
  // it when no empty line ends them.
  size_t take_headers(std::span<const iovec> pieces) {
    constexpr size_t kStep = 2'048;
    headers.clear();
    for (const iovec& piece : pieces) {
      const auto* at = static_cast<const char*>(piece.iov_base);
      for (size_t done = 0; done < piece.iov_len;) {
        const size_t count = std::min(kStep, piece.iov_len - done);
        const size_t from = headers.size() < 3 ? 0 : headers.size() - 3;
        headers.append(at + done, count);
        const size_t end = headers.find(kEndOfHeaders, from);
        if (end != std::string::npos) {
          headers.resize(end + kEndOfHeaders.size());
          return headers.size();
        }
        done += count;
      }
    }
    return headers.size();
  }
};

Workspace& workspace() {
  static thread_local Workspace made;
  return made;
}

std::string_view decimal(int64_t number, std::array<char, 24>& out) {
  const auto end = std::to_chars(out.data(), out.data() + out.size(), number);
  return {out.data(), static_cast<size_t>(end.ptr - out.data())};
}

// Everything up to "b=".
void write_field(const DkimKey& key, int64_t time, std::string_view body_hash,
                 const DkimFields& fields, SignatureText& text) {
  const DkimEntry& entry = key.entry();
  std::array<char, 24> digits{};
  text.start();
  text.word("v=1;");
  text.word(key.algorithm() == DkimAlgorithm::kRsaSha256 ? "a=rsa-sha256;" : "a=ed25519-sha256;");
  text.word("c=relaxed/relaxed;");
  text.tag("d=", entry.domain);
  text.tag("s=", entry.selector);
  if (!entry.identity.empty()) text.tag("i=", entry.identity);
  text.tag("t=", decimal(time, digits));
  if (entry.expire > Duration(0)) {
    const int64_t lives = std::chrono::duration_cast<std::chrono::seconds>(entry.expire).count();
    text.tag("x=", decimal(time + lives, digits));
  }
  bool first = true;
  fields.names([&text, &first](std::string_view name) {
    if (first) {
      text.word("h=");
    } else {
      text.more(":");
    }
    first = false;
    text.more(name);
  });
  text.more(";");
  text.tag("bh=", body_hash);
  text.word("b=");
}

}  // namespace

std::unique_ptr<const DkimSigner> DkimSigner::make(std::shared_ptr<const DkimKeys> keys,
                                                   std::string_view from_domain,
                                                   const DkimPlan& plan) {
  if (keys == nullptr || keys->size() == 0) return nullptr;
  const std::vector<DkimKeyPtr>* fixed = nullptr;
  if (!from_domain.empty()) {
    fixed = keys->find(from_domain);
    if (fixed == nullptr) return nullptr;
  }
  return std::unique_ptr<const DkimSigner>(new DkimSigner(std::move(keys), fixed, plan));
}

DkimSigner::DkimSigner(std::shared_ptr<const DkimKeys> keys, const std::vector<DkimKeyPtr>* fixed,
                       const DkimPlan& plan)
    : keys_(std::move(keys)),
      fixed_(fixed),
      literals_(plan.literals),
      shared_dots_(plan.shared_dots),
      constant_(plan.constant) {
  for (const DkimPlan::Piece& piece : plan.pieces) {
    pieces_.push_back(make_dkim_literal(literals_, piece.offset, piece.length));
    if (pieces_.size() > plan.shared_pieces) continue;
    shared_octets_ += piece.length;
    shared_.add(pieces_.back(), literals_.data() + piece.offset);
  }
  shared_.settle();
  if (!constant_) return;
  BodyHash hash;
  hash.resume(shared_, false);
  constant_hash_ = hash.finish();
}

// A run of the template's literals, or octets of the row's.
void DkimSigner::hash_piece(std::string_view piece, size_t& next) const {
  BodyHash& hash = workspace().body;
  const std::less<const char*> before;
  const char* const first = literals_.data();
  if (before(piece.data(), first) || !before(piece.data(), first + literals_.size())) {
    hash.add(piece);
    return;
  }
  auto offset = static_cast<size_t>(piece.data() - first);
  while (!piece.empty()) {
    while (next < pieces_.size() && pieces_[next].offset < offset) ++next;
    if (next == pieces_.size() || pieces_[next].offset - offset >= piece.size()) break;
    const DkimLiteral& literal = pieces_[next];
    hash.add(piece.substr(0, literal.offset - offset));
    piece.remove_prefix(literal.offset - offset);
    if (literal.length > piece.size()) break;
    hash.add(literal, piece.data());
    piece.remove_prefix(literal.length);
    offset = literal.offset + literal.length;
  }
  hash.add(piece);
}

Sha256 DkimSigner::hash_body(const MessageBuffer& buffer, size_t body, bool dot_stuffed) const {
  if (constant_) return constant_hash_;
  BodyHash& hash = workspace().body;
  hash.resume(shared_, dot_stuffed);
  size_t skip = body + shared_octets_ + (dot_stuffed ? shared_dots_ : 0);
  size_t next = 0;
  for (const iovec& piece : buffer.pieces()) {
    const std::string_view octets(static_cast<const char*>(piece.iov_base), piece.iov_len);
    const size_t skipped = std::min(skip, octets.size());
    skip -= skipped;
    if (skipped < octets.size()) hash_piece(octets.substr(skipped), next);
  }
  return hash.finish();
}

Reply DkimSigner::sign(WallTime date, bool dot_stuffed, MessageBuffer& buffer) const {
  Workspace& work = workspace();
  const size_t body = work.take_headers(buffer.pieces());
  std::string_view headers = work.headers;
  if (headers.ends_with(kEndOfHeaders)) headers.remove_suffix(2);
  work.fields.index(headers);
  const std::vector<DkimKeyPtr>* keys = fixed_;
  if (keys == nullptr) {
    work.domain = work.fields.from_domain();
    for (char& c : work.domain) c = ascii_lower(c);
    keys = keys_->find(work.domain);
    if (keys == nullptr) return {0, {5, 7, 0}, "no DKIM key signs for the domain of From"};
  }
  const Sha256 body_digest = hash_body(buffer, body, dot_stuffed);
  work.body_hash.clear();
  append_base64(work.body_hash, octets_of(body_digest.data(), body_digest.size()));
  work.canonical.clear();
  work.fields.append_canonical(work.canonical);
  for (const DkimKeyPtr& key : *keys) {
    write_field(*key, unix_seconds(date), work.body_hash, work.fields, work.text);
    Sha256 digest{};
    const std::string_view field = work.text.canonical();
    CHECK(EVP_DigestInit_ex2(work.digest, sha256_method(), nullptr) == 1 &&
          EVP_DigestUpdate(work.digest, work.canonical.data(), work.canonical.size()) == 1 &&
          EVP_DigestUpdate(work.digest, field.data(), field.size()) == 1 &&
          EVP_DigestFinal_ex(work.digest, digest.data(), nullptr) == 1);
    std::array<unsigned char, kSignatureBytesMax> signature;
    const size_t length = work.contexts_of(key).sign(digest, signature);
    if (length == 0) return {0, {4, 3, 5}, "the message could not be signed"};
    work.signature.clear();
    append_base64(work.signature, octets_of(signature.data(), length));
    work.text.sign(work.signature);
    const std::string_view text = work.text.text();
    std::memcpy(buffer.reserve(text.size()), text.data(), text.size());
    buffer.commit_in_front(text.size());
  }
  return {};
}

}  // namespace sluice
