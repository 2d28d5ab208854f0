#include "tools/sink/tls_identity.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>

namespace sluice::sink {
namespace {

constexpr int kRsaBits = 2'048;
constexpr long kSecondsOfADay = 86'400;
constexpr size_t kTicketKeyBytes = 80;

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;
using Memory = std::unique_ptr<BIO, Free>;

StatusOr<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  if (!in) return missing("cannot read " + path + ": " + std::strerror(errno));
  return text.str();
}

bool add_extension(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free> extension(
      X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

Certificate self_signed(EVP_PKEY* key, const std::vector<std::string>& names) {
  Certificate certificate(X509_new());
  unsigned char serial[8];
  if (!certificate || RAND_bytes(serial, sizeof serial) != 1) return nullptr;
  serial[0] &= 0x7F;
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      BN_bin2bn(serial, sizeof serial, nullptr), &BN_free);
  std::string alternatives;
  for (const std::string& name : names)
    alternatives += (alternatives.empty() ? "" : ",") + ("DNS:" + name);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  const std::string common = names.front().substr(0, 64);
  const void* common_octets = common.data();
  const bool made =
      X509_set_version(certificate.get(), X509_VERSION_3) == 1 && number != nullptr &&
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get())) != nullptr &&
      X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kSecondsOfADay) != nullptr &&
      X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3'650 * kSecondsOfADay) != nullptr &&
      X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC,
                                 static_cast<const unsigned char*>(common_octets),
                                 static_cast<int>(common.size()), -1, 0) == 1 &&
      X509_set_issuer_name(certificate.get(), subject) == 1 &&
      X509_set_pubkey(certificate.get(), key) == 1 &&
      add_extension(certificate.get(), NID_basic_constraints, "critical,CA:TRUE") &&
      add_extension(certificate.get(), NID_subject_key_identifier, "hash") &&
      add_extension(certificate.get(), NID_subject_alt_name, alternatives) &&
      X509_sign(certificate.get(), key, EVP_sha256()) > 0;
  return made ? std::move(certificate) : nullptr;
}

std::string text_of(BIO* memory) {
  char* octets = nullptr;
  const long size = BIO_get_mem_data(memory, &octets);
  return {octets, static_cast<size_t>(size)};
}

StatusOr<TlsIdentity> made_in_memory(const TlsOptions& options, const std::string& hostname) {
  TlsIdentity identity;
  const std::vector<std::string> names =
      options.names.empty() ? std::vector<std::string>{hostname} : options.names;
  const Key key(options.key_type == TlsKeyType::kRsa
                    ? EVP_RSA_gen(kRsaBits)
                    : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  const Certificate certificate = key ? self_signed(key.get(), names) : nullptr;
  const Memory certificate_text(BIO_new(BIO_s_mem()));
  const Memory key_text(BIO_new(BIO_s_mem()));
  if (!certificate || PEM_write_bio_X509(certificate_text.get(), certificate.get()) != 1 ||
      PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return invalid("no certificate can be made for the name \"" + names.front() + "\"");
  }
  identity.certificates = text_of(certificate_text.get());
  identity.key = text_of(key_text.get());
  return identity;
}

}  // namespace

StatusOr<TlsIdentity> make_tls_identity(const TlsOptions& options, const std::string& hostname) {
  TlsIdentity identity;
  if (options.certificate_file.empty()) {
    ASSIGN_OR_RETURN(identity, made_in_memory(options, hostname));
  } else {
    ASSIGN_OR_RETURN(identity.certificates, read_file(options.certificate_file));
    ASSIGN_OR_RETURN(identity.key, read_file(options.key_file));
  }
  unsigned char keys[kTicketKeyBytes];
  if (RAND_bytes(keys, sizeof keys) != 1) return unavailable("no random octets for ticket keys");
  identity.ticket_keys.assign(std::begin(keys), std::end(keys));
  if (!options.ca_out_file.empty()) {
    std::ofstream out(options.ca_out_file, std::ios::binary);
    out << identity.certificates;
    out.close();
    if (!out) return cannot_create("cannot write " + options.ca_out_file);
  }
  return identity;
}

}  // namespace sluice::sink
