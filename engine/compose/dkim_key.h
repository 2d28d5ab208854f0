// Keys that sign mail (RFC 6376, 8301, 8463): one key, and all keys by the domain that they sign.
//
// PURPOSE. DkimKey::parse() takes a private key out of a PEM text: RSA of 1,024 to 4,096 bits
//   (PKCS#1 or PKCS#8) or Ed25519 (PKCS#8). DkimKeys finds what signs mail From a domain: the keys
//   of that domain, else those of the nearest domain above it, down to two labels.
// OWNERSHIP. Keys are shared and immutable; who signs holds a reference. The PEM text belongs to
//   the caller, who wipes it (cleanse()); key material is zeroed when the last reference goes and
//   is in no message and no log.
// THREAD. Any, once made.
// ERRORS. FailedPrecondition, naming the file and how to mend it: no key, encrypted, too short, of
//   another type.
// LIMITS. kKeysMax keys.
// BUGS. OpenSSL keeps a key in ordinary memory, which may be swapped out or land in a core file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/strings.h"
#include "engine/base/time.h"
#include "engine/model/configuration.h"

// OpenSSL's EVP_PKEY.
struct evp_pkey_st;

namespace sluice {

enum class DkimAlgorithm : uint8_t { kRsaSha256, kEd25519Sha256 };

// The smallest and the largest RSA key that every verifier checks (RFC 8301 §3.2).
inline constexpr int kRsaBitsMin = 1'024;
inline constexpr int kRsaBitsMax = 4'096;

class DkimKey {
 public:
  // `pem` is what the file entry.key holds.
  static StatusOr<std::shared_ptr<const DkimKey>> parse(const DkimEntry& entry,
                                                        std::string_view pem);
  ~DkimKey();
  DkimKey(const DkimKey&) = delete;
  DkimKey& operator=(const DkimKey&) = delete;

  const DkimEntry& entry() const { return entry_; }
  DkimAlgorithm algorithm() const { return algorithm_; }
  // Octets of a signature.
  size_t signature_bytes() const { return signature_bytes_; }
  // At least the octets of the header field that it makes.
  size_t header_bytes_max() const;
  // What the TXT record at <selector>._domainkey.<domain> says of it.
  std::string record() const;
  // No two keys of a process have the same.
  uint64_t number() const { return number_; }
  evp_pkey_st* get() const { return key_; }

 private:
  DkimKey(DkimEntry entry, evp_pkey_st* key, DkimAlgorithm algorithm);

  DkimEntry entry_;
  evp_pkey_st* key_;
  DkimAlgorithm algorithm_;
  size_t signature_bytes_;
  uint64_t number_;
};

using DkimKeyPtr = std::shared_ptr<const DkimKey>;

class DkimKeys {
 public:
  static constexpr size_t kKeysMax = 100'000;

  void add(DkimKeyPtr key);
  // The keys that sign mail From `domain` (lower-case), each a signature; null when none does.
  const std::vector<DkimKeyPtr>* find(std::string_view domain) const;
  size_t size() const { return size_; }
  // At least the octets of the header fields that the keys of any one domain make.
  size_t header_bytes_max() const { return header_bytes_max_; }

 private:
  StringMap<std::vector<DkimKeyPtr>> by_domain_;
  size_t size_ = 0;
  size_t header_bytes_max_ = 0;
};

// A new private key as PEM (PKCS#8). `rsa_bits`: of kRsaSha256. Wipe it when it is written.
StatusOr<std::string> generate_dkim_key(DkimAlgorithm algorithm, int rsa_bits);

}  // namespace sluice
