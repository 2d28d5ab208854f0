// OpenSSL 3.0: the error queue is the thread's, not the session's.
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>

namespace sluice {
namespace {

struct Free {
  void operator()(SSL* p) const { SSL_free(p); }
  void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(X509* p) const { X509_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

// A client and a server that talk through a pair of memory BIOs.
class Session {
 public:
  Session() : client_ctx_(SSL_CTX_new(TLS_client_method())), server_ctx_(make_server()) {
    client.reset(SSL_new(client_ctx_.get()));
    server.reset(SSL_new(server_ctx_.get()));
    BIO* near_end = nullptr;
    BIO* far_end = nullptr;
    EXPECT_EQ(BIO_new_bio_pair(&near_end, 0, &far_end, 0), 1);
    SSL_set_bio(client.get(), near_end, near_end);
    SSL_set_bio(server.get(), far_end, far_end);
    SSL_set_connect_state(client.get());
    SSL_set_accept_state(server.get());
    for (int i = 0; i < 10; ++i) {
      SSL_do_handshake(client.get());
      SSL_do_handshake(server.get());
    }
    EXPECT_EQ(SSL_is_init_finished(client.get()), 1);
    EXPECT_EQ(SSL_is_init_finished(server.get()), 1);
    ERR_clear_error();
  }

  Owned<SSL> client;
  Owned<SSL> server;

 private:
  static Owned<SSL_CTX> make_server() {
    const Owned<EVP_PKEY> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
    const Owned<X509> certificate(X509_new());
    X509_set_version(certificate.get(), 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3'600);
    X509_set_pubkey(certificate.get(), key.get());
    EXPECT_GT(X509_sign(certificate.get(), key.get(), EVP_sha256()), 0);
    Owned<SSL_CTX> ctx(SSL_CTX_new(TLS_server_method()));
    EXPECT_EQ(SSL_CTX_use_certificate(ctx.get(), certificate.get()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(ctx.get(), key.get()), 1);
    return ctx;
  }

  Owned<SSL_CTX> client_ctx_;
  Owned<SSL_CTX> server_ctx_;
};

// Makes a call on its session fail and leaves the error where it is, as careless code does.
void fail(Session& session) {
  BIO_write(SSL_get_wbio(session.server.get()), "this is no TLS record", 21);
  char octet = 0;
  EXPECT_LE(SSL_read(session.client.get(), &octet, 1), 0);
  EXPECT_NE(ERR_peek_error(), 0U);
}

TEST(OpensslProbe, OneSessionsErrorLooksLikeAnothers) {
  Session healthy;
  Session broken;
  char octet = 0;
  // Tickets of TLS 1.3 may be read first.
  while (SSL_read(healthy.client.get(), &octet, 1) > 0) {
  }
  ERR_clear_error();
  fail(broken);
  int result = SSL_read(healthy.client.get(), &octet, 1);
  EXPECT_EQ(SSL_get_error(healthy.client.get(), result), SSL_ERROR_SSL);

  // The rule: ERR_clear_error() before every SSL_* call.
  fail(broken);
  ERR_clear_error();
  result = SSL_read(healthy.client.get(), &octet, 1);
  EXPECT_EQ(SSL_get_error(healthy.client.get(), result), SSL_ERROR_WANT_READ);
  EXPECT_EQ(SSL_write(healthy.server.get(), "x", 1), 1);
  EXPECT_EQ(SSL_read(healthy.client.get(), &octet, 1), 1);
  EXPECT_EQ(octet, 'x');
}

}  // namespace
}  // namespace sluice
