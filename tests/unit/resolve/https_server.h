// An HTTPS server on loopback with certificates of its own making, for tests.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace sluice {

struct OpensslFree {
  void operator()(X509* x) const { X509_free(x); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};
template <typename T>
using OpensslPtr = std::unique_ptr<T, OpensslFree>;

// A certificate and its key.
struct Identity {
  OpensslPtr<X509> certificate;
  OpensslPtr<EVP_PKEY> key;

  std::string pem() const {
    const OpensslPtr<BIO> bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate.get());
    char* octets = nullptr;
    const auto bytes = BIO_get_mem_data(bio.get(), &octets);
    return {octets, static_cast<size_t>(bytes)};
  }
};

inline void add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const OpensslPtr<X509_EXTENSION> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  ASSERT_NE(extension, nullptr);
  X509_add_ext(certificate, extension.get(), -1);
}

// A root without `issuer`; else a server's certificate for `name`. Its days end at `days` from now.
inline Identity make_identity(const std::string& name, const Identity* issuer, int days = 30) {
  Identity made;
  made.key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  made.certificate.reset(X509_new());
  X509* const x = made.certificate.get();
  X509_set_version(x, 2);
  static std::atomic<long> serial{1};
  ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
  constexpr long kDay = 86'400;
  X509_gmtime_adj(X509_getm_notBefore(x), -60 * kDay);
  X509_gmtime_adj(X509_getm_notAfter(x), days * kDay);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer->certificate.get() : x));
  X509_set_pubkey(x, made.key.get());
  if (issuer == nullptr) {
    add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(x, NID_key_usage, "critical,keyCertSign");
  } else {
    add_extension(x, NID_subject_alt_name, "DNS:" + name);
  }
  X509_sign(x, issuer ? issuer->key.get() : made.key.get(), EVP_sha256());
  return made;
}

// Answers one connection after another, each with one answer.
class HttpsServer {
 public:
  // From the request, head and body, to the octets that are sent; an empty answer: none, until the
  // client goes.
  using Answer = std::function<std::string(const std::string&)>;

  HttpsServer(const Identity& identity, Answer answer)
      : answer_(std::move(answer)), context_(SSL_CTX_new(TLS_server_method())) {
    SSL_CTX_use_certificate(context_.get(), identity.certificate.get());
    SSL_CTX_use_PrivateKey(context_.get(), identity.key.get());
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_, any, bytes), 0);
    EXPECT_EQ(::listen(listener_, 64), 0);
    EXPECT_EQ(::getsockname(listener_, any, &bytes), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~HttpsServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  HttpsServer(const HttpsServer&) = delete;
  HttpsServer& operator=(const HttpsServer&) = delete;

  uint16_t port() const { return port_; }
  int connections() const { return connections_; }
  int requests() const { return requests_; }

 private:
  void run() {
    for (;;) {
      const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) return;
      ++connections_;
      serve(client);
      ::close(client);
    }
  }

  void serve(int client) {
    const OpensslPtr<SSL> ssl(SSL_new(context_.get()));
    SSL_set_fd(ssl.get(), client);
    if (SSL_accept(ssl.get()) != 1) return;
    std::string head;
    char piece[4'096];
    while (head.find("\r\n\r\n") == std::string::npos) {
      const int got = SSL_read(ssl.get(), piece, sizeof piece);
      if (got <= 0) return;
      head.append(piece, static_cast<size_t>(got));
    }
    const size_t length_at = head.find("Content-Length: ");
    if (length_at != std::string::npos) {
      const size_t body = std::stoul(head.substr(length_at + 16));
      const size_t whole = head.find("\r\n\r\n") + 4 + body;
      while (head.size() < whole) {
        const int got = SSL_read(ssl.get(), piece, sizeof piece);
        if (got <= 0) return;
        head.append(piece, static_cast<size_t>(got));
      }
    }
    ++requests_;
    const std::string answer = answer_(head);
    if (answer.empty()) {
      while (SSL_read(ssl.get(), piece, sizeof piece) > 0) {
      }
      return;
    }
    SSL_write(ssl.get(), answer.data(), static_cast<int>(answer.size()));
    SSL_shutdown(ssl.get());
  }

  const Answer answer_;
  const OpensslPtr<SSL_CTX> context_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<int> requests_{0};
  std::thread thread_;
};

}  // namespace sluice
