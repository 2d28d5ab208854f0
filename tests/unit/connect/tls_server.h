// For tests: a certification authority, certificates of it, and plain OpenSSL as the server.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/tls.h"

namespace sluice::tls_test {

template <auto free>
struct Free {
  template <typename T>
  void operator()(T* thing) const {
    free(thing);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Context = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, Free<SSL_free>>;

struct Identity {
  Key key;
  Certificate certificate;
};

enum class KeyKind : uint8_t { kEcdsa, kRsa };

struct Wanted {
  std::string subject = "mx.example.com";
  std::string alternative_names = "DNS:mx.example.com";  // as OpenSSL writes it; empty: none
  KeyKind kind = KeyKind::kEcdsa;
  long begins = -3600;  // seconds from now
  long ends = 3600;
  bool authority = false;
  std::string purpose = "serverAuth";  // empty: not said
};
// Signed by `issuer`; null: by itself.
Identity make_identity(const Wanted& wanted, const Identity* issuer);
std::string der(X509* certificate);
std::string public_key(X509* certificate);
// A TLSA record that `certificate` matches.
TlsaRecord tlsa_of(X509* certificate, uint8_t usage, uint8_t selector, uint8_t matching);
// Certificates in PEM in a file of this process; removed with it.
class PemFile {
 public:
  explicit PemFile(const std::vector<X509*>& certificates);
  ~PemFile();
  PemFile(const PemFile&) = delete;
  PemFile& operator=(const PemFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct ServerOptions {
  int version_min = TLS1_2_VERSION;
  int version_max = TLS1_3_VERSION;
  const char* ciphers = nullptr;  // of TLS 1.2
  bool tickets = true;
};
// `chain`: what is sent behind the certificate.
Context make_server(const Identity& identity, const std::vector<X509*>& chain,
                    const ServerOptions& options = {});

// One session of the server, octets in and out.
class Server {
 public:
  explicit Server(SSL_CTX* context);
  // As after an end in order: the session may be resumed.
  ~Server() { SSL_set_shutdown(session_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Takes what the client sent, goes on as far as it can, and gives what the client is to get.
  std::string exchange(std::string_view from_client);
  bool open() const { return SSL_is_init_finished(session_.get()) == 1; }
  bool failed() const { return failed_; }
  bool ended() const { return (SSL_get_shutdown(session_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }
  // Plain octets that came so far.
  const std::string& heard() const { return heard_; }
  // Said once the session is open: in what the next exchange() gives.
  void say(std::string_view text);
  void end();
  SSL* session() { return session_.get(); }

 private:
  Session session_;
  BIO* in_;
  BIO* out_;
  std::string heard_;
  bool failed_ = false;
};

}  // namespace sluice::tls_test
