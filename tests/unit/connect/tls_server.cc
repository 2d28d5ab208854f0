#include "tests/unit/connect/tls_server.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

namespace sluice::tls_test {
namespace {

void add_extension(X509* certificate, X509* issuer, int number, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, number, value.c_str());
  ASSERT_NE(extension, nullptr) << value;
  EXPECT_EQ(X509_add_ext(certificate, extension, -1), 1);
  X509_EXTENSION_free(extension);
}

template <typename T>
std::string encoded(T* thing, int (*encode)(const T*, unsigned char**)) {
  unsigned char* octets = nullptr;
  const int length = encode(thing, &octets);
  EXPECT_GT(length, 0);
  std::string text(reinterpret_cast<char*>(octets), static_cast<size_t>(length));
  OPENSSL_free(octets);
  return text;
}

}  // namespace

Identity make_identity(const Wanted& wanted, const Identity* issuer) {
  static std::atomic<int> serial = 1;
  Identity made;
  made.key.reset(wanted.kind == KeyKind::kRsa
                     ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{2048})
                     : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  made.certificate.reset(X509_new());
  X509* const certificate = made.certificate.get();
  X509* const by = issuer == nullptr ? certificate : issuer->certificate.get();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate), wanted.begins);
  X509_gmtime_adj(X509_getm_notAfter(certificate), wanted.ends);
  X509_NAME* const name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(wanted.subject.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(certificate, X509_get_subject_name(by));
  X509_set_pubkey(certificate, made.key.get());
  if (wanted.authority) {
    add_extension(certificate, by, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, by, NID_key_usage, "critical,keyCertSign");
  } else {
    if (!wanted.alternative_names.empty()) {
      add_extension(certificate, by, NID_subject_alt_name, wanted.alternative_names);
    }
    if (!wanted.purpose.empty()) {
      add_extension(certificate, by, NID_ext_key_usage, wanted.purpose);
    }
  }
  EVP_PKEY* const signer = issuer == nullptr ? made.key.get() : issuer->key.get();
  EXPECT_GT(X509_sign(certificate, signer, EVP_sha256()), 0);
  return made;
}

std::string der(X509* certificate) { return encoded<X509>(certificate, i2d_X509); }

std::string public_key(X509* certificate) {
  return encoded<X509_PUBKEY>(X509_get_X509_PUBKEY(certificate), i2d_X509_PUBKEY);
}

TlsaRecord tlsa_of(X509* certificate, uint8_t usage, uint8_t selector, uint8_t matching) {
  const std::string whole = selector == 0 ? der(certificate) : public_key(certificate);
  TlsaRecord record{usage, selector, matching, whole};
  if (matching == 0) return record;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EXPECT_EQ(EVP_Digest(whole.data(), whole.size(), digest, &length,
                       matching == 1 ? EVP_sha256() : EVP_sha512(), nullptr),
            1);
  record.data.assign(reinterpret_cast<char*>(digest), length);
  return record;
}

PemFile::PemFile(const std::vector<X509*>& certificates) {
  char name[] = "/tmp/sluice-unit-XXXXXX";
  const int descriptor = mkstemp(name);
  EXPECT_GE(descriptor, 0);
  path_ = name;
  FILE* const file = fdopen(descriptor, "w");
  for (X509* certificate : certificates) EXPECT_EQ(PEM_write_X509(file, certificate), 1);
  EXPECT_EQ(fclose(file), 0);
}

PemFile::~PemFile() { unlink(path_.c_str()); }

Context make_server(const Identity& identity, const std::vector<X509*>& chain,
                    const ServerOptions& options) {
  ERR_clear_error();
  Context context(SSL_CTX_new(TLS_server_method()));
  EXPECT_EQ(SSL_CTX_set_min_proto_version(context.get(), options.version_min), 1);
  EXPECT_EQ(SSL_CTX_set_max_proto_version(context.get(), options.version_max), 1);
  if (options.ciphers != nullptr) {
    EXPECT_EQ(SSL_CTX_set_cipher_list(context.get(), options.ciphers), 1);
  }
  if (!options.tickets) {
    SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context.get(), 0);
  }
  EXPECT_EQ(SSL_CTX_use_certificate(context.get(), identity.certificate.get()), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(context.get(), identity.key.get()), 1);
  for (X509* certificate : chain) {
    EXPECT_EQ(SSL_CTX_add1_chain_cert(context.get(), certificate), 1);
  }
  return context;
}

Server::Server(SSL_CTX* context)
    : session_(SSL_new(context)), in_(BIO_new(BIO_s_mem())), out_(BIO_new(BIO_s_mem())) {
  BIO_set_mem_eof_return(in_, -1);
  SSL_set_bio(session_.get(), in_, out_);
  SSL_set_accept_state(session_.get());
}

std::string Server::exchange(std::string_view from_client) {
  // What went wrong here stays in the error queue: the client must not see it as its own.
  BIO_write(in_, from_client.data(), static_cast<int>(from_client.size()));
  if (!open() && !failed_) {
    const int result = SSL_do_handshake(session_.get());
    failed_ = result != 1 && SSL_get_error(session_.get(), result) != SSL_ERROR_WANT_READ;
  }
  char buffer[16'384];
  while (open() && !failed_) {
    const int got = SSL_read(session_.get(), buffer, sizeof buffer);
    if (got > 0) {
      heard_.append(buffer, static_cast<size_t>(got));
      continue;
    }
    const int error = SSL_get_error(session_.get(), got);
    failed_ = error != SSL_ERROR_WANT_READ && error != SSL_ERROR_ZERO_RETURN;
    break;
  }
  char* octets = nullptr;
  const auto count = static_cast<size_t>(BIO_get_mem_data(out_, &octets));
  std::string to_client(octets, count);
  (void)BIO_reset(out_);
  return to_client;
}

void Server::say(std::string_view text) {
  ERR_clear_error();
  EXPECT_EQ(SSL_write(session_.get(), text.data(), static_cast<int>(text.size())),
            static_cast<int>(text.size()));
}

void Server::end() { (void)SSL_shutdown(session_.get()); }

}  // namespace sluice::tls_test
