#include "engine/compose/dkim_key.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "engine/base/check.h"
#include "engine/compose/base64.h"

namespace sluice {
namespace {

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using BioPtr = std::unique_ptr<BIO, FreeBio>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeKey>;

// Nobody is asked for a password: a daemon has nobody to ask.
int no_password(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*context*/) { return -1; }

bool holds(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string why_unreadable(std::string_view pem) {
  if (holds(pem, "ENCRYPTED")) {
    return " is encrypted; take the password off: openssl pkey -in FILE -out NEW, mode 0600";
  }
  if (holds(pem, "-----BEGIN PUBLIC KEY") || holds(pem, "-----BEGIN CERTIFICATE")) {
    return " holds a public key or certificate; name the file with the private key";
  }
  if (holds(pem, "-----BEGIN OPENSSH")) {
    return " is a key of OpenSSH's; make one for DKIM: sluice dkim-key";
  }
  return " holds no private key in PEM form; make one: sluice dkim-key";
}

std::string base64(const unsigned char* octets, size_t count) {
  std::string out;
  append_base64(out, {reinterpret_cast<const char*>(octets), count});
  return out;
}

}  // namespace

DkimKey::DkimKey(DkimEntry entry, evp_pkey_st* key, DkimAlgorithm algorithm)
    : entry_(std::move(entry)),
      key_(key),
      algorithm_(algorithm),
      signature_bytes_(static_cast<size_t>(EVP_PKEY_get_size(key))) {
  static std::atomic<uint64_t> numbers{0};
  number_ = ++numbers;
}

DkimKey::~DkimKey() { EVP_PKEY_free(key_); }

StatusOr<std::shared_ptr<const DkimKey>> DkimKey::parse(const DkimEntry& entry,
                                                        std::string_view pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  CHECK(bio != nullptr);
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &no_password, nullptr));
  // What went wrong must not be found by the next one who asks (the queue is the thread's).
  ERR_clear_error();
  if (!key) return misconfigured(entry.key + why_unreadable(pem));
  DkimAlgorithm algorithm = DkimAlgorithm::kRsaSha256;
  if (EVP_PKEY_is_a(key.get(), "ED25519") == 1) {
    algorithm = DkimAlgorithm::kEd25519Sha256;
  } else if (EVP_PKEY_is_a(key.get(), "RSA") != 1) {
    const char* type = EVP_PKEY_get0_type_name(key.get());
    return misconfigured(entry.key + " is a key of type " +
                         (type == nullptr ? "unknown" : escaped(type, 40)) +
                         ", which DKIM does not know; make one of type rsa or ed25519: sluice "
                         "dkim-key");
  } else if (const int bits = EVP_PKEY_get_bits(key.get()); bits < kRsaBitsMin) {
    return misconfigured(entry.key + " is an RSA key of " + std::to_string(bits) +
                         " bits, which receivers refuse below 1,024; make one of 2,048: sluice "
                         "dkim-key");
  } else if (bits > kRsaBitsMax) {
    return misconfigured(entry.key + " is an RSA key of " + std::to_string(bits) +
                         " bits; many receivers check none above 4,096: make one of 2,048: sluice "
                         "dkim-key");
  }
  return std::shared_ptr<const DkimKey>(new DkimKey(entry, key.release(), algorithm));
}

size_t DkimKey::header_bytes_max() const {
  // Tags of bounded length and the list of headers; then base64 with its folds.
  constexpr size_t kTags = 1'024;
  return kTags + entry_.domain.size() + entry_.selector.size() + entry_.identity.size() +
         signature_bytes_ * 3 / 2;
}

std::string DkimKey::record() const {
  if (algorithm_ == DkimAlgorithm::kEd25519Sha256) {
    std::array<unsigned char, 32> raw{};
    size_t length = raw.size();
    CHECK(EVP_PKEY_get_raw_public_key(key_, raw.data(), &length) == 1);
    return "v=DKIM1; k=ed25519; p=" + base64(raw.data(), length);
  }
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(key_, &der);
  CHECK(length > 0);
  std::string record = "v=DKIM1; k=rsa; p=" + base64(der, static_cast<size_t>(length));
  OPENSSL_free(der);
  return record;
}

void DkimKeys::add(DkimKeyPtr key) {
  CHECK(size_ < kKeysMax);
  const std::string domain = key->entry().domain;
  std::vector<DkimKeyPtr>& keys = by_domain_[domain];
  keys.push_back(std::move(key));
  ++size_;
  size_t bytes = 0;
  for (const DkimKeyPtr& each : keys) bytes += each->header_bytes_max();
  header_bytes_max_ = std::max(header_bytes_max_, bytes);
}

const std::vector<DkimKeyPtr>* DkimKeys::find(std::string_view domain) const {
  while (true) {
    const size_t dot = domain.find('.');
    if (dot == std::string_view::npos) return nullptr;
    const auto found = by_domain_.find(domain);
    if (found != by_domain_.end()) return &found->second;
    domain.remove_prefix(dot + 1);
  }
}

StatusOr<std::string> generate_dkim_key(DkimAlgorithm algorithm, int rsa_bits) {
  const bool rsa = algorithm == DkimAlgorithm::kRsaSha256;
  CHECK(!rsa || (rsa_bits >= kRsaBitsMin && rsa_bits <= kRsaBitsMax));
  const KeyPtr key(rsa ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<size_t>(rsa_bits))
                       : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  if (!key || !bio ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    ERR_clear_error();
    return io_error("OpenSSL cannot make a key here");
  }
  char* text = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<size_t>(length));
}

}  // namespace sluice
