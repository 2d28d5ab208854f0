#include "tools/sink/tls_session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"

namespace sluice::sink {
namespace {

constexpr size_t kRecordMax = 16UL << 10;
constexpr long kTicketSeconds = 7'200;
constexpr size_t kFailureMax = 120;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

std::string last_error() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return std::string(reason == nullptr ? "no reason known" : reason).substr(0, kFailureMax);
}

std::unique_ptr<BIO, Free> reader_of(const std::string& text) {
  return std::unique_ptr<BIO, Free>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// The list's names of TLS 1.3 begin with TLS_, those of TLS 1.2 do not.
bool set_ciphers(SSL_CTX* context, const std::string& list) {
  std::string suites;
  std::string older;
  for (size_t at = 0; at < list.size();) {
    const size_t end = std::min(list.find(':', at), list.size());
    const std::string name = list.substr(at, end - at);
    std::string& to = name.rfind("TLS_", 0) == 0 ? suites : older;
    to += (to.empty() ? "" : ":") + name;
    at = end + 1;
  }
  return (suites.empty() || SSL_CTX_set_ciphersuites(context, suites.c_str()) == 1) &&
         (older.empty() || SSL_CTX_set_cipher_list(context, older.c_str()) == 1);
}

}  // namespace

// Between OpenSSL and a session's two buffers: what was given is read, what is written is appended.
struct TlsSession::Pipe {
  static TlsSession& session(BIO* bio) { return *static_cast<TlsSession*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* to, int most) {
    TlsSession& self = session(bio);
    BIO_clear_retry_flags(bio);
    if (self.input_.empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const size_t size = std::min(self.input_.size(), static_cast<size_t>(most));
    std::memcpy(to, self.input_.data(), size);
    self.input_.remove_prefix(size);
    return static_cast<int>(size);
  }
  static int write(BIO* bio, const char* from, int size) {
    BIO_clear_retry_flags(bio);
    session(bio).out_->append(from, static_cast<size_t>(size));
    return size;
  }
  static long control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }
  static int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
  }
  static BIO_METHOD* method() {
    static BIO_METHOD* const the_method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sink");
      CHECK(made != nullptr);
      BIO_meth_set_read(made, read);
      BIO_meth_set_write(made, write);
      BIO_meth_set_ctrl(made, control);
      BIO_meth_set_create(made, create);
      return made;
    }();
    return the_method;
  }
};

// --- what a worker's sessions share --------------------------------------------------------------

TlsServer::TlsServer()
    : context_(SSL_CTX_new(TLS_server_method())), plain_(std::make_unique<char[]>(kPlainBytes)) {}

TlsServer::~TlsServer() { SSL_CTX_free(context_); }

StatusOr<std::unique_ptr<TlsServer>> TlsServer::make(const TlsOptions& options,
                                                     const TlsIdentity& identity) {
  ERR_clear_error();
  std::unique_ptr<TlsServer> server(new TlsServer);
  if (server->context_ == nullptr) return unavailable("no TLS context: " + last_error());
  RETURN_IF_ERROR(server->load(identity, options));
  SSL_CTX* context = server->context_;
  const bool old_only = options.versions == TlsVersions::kTls12;
  const bool new_only = options.versions == TlsVersions::kTls13;
  const bool set =
      SSL_CTX_set_min_proto_version(context, new_only ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
      SSL_CTX_set_max_proto_version(context, old_only ? TLS1_2_VERSION : TLS1_3_VERSION) == 1 &&
      set_ciphers(context, options.ciphers);
  if (!set) return invalid("--tls-ciphers \"" + options.ciphers + "\": " + last_error());
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, kTicketSeconds);
  std::string keys = identity.ticket_keys;
  const bool ready =
      options.tickets ? SSL_CTX_set_tlsext_ticket_keys(context, keys.data(), keys.size()) == 1
                      : (SSL_CTX_set_options(context, SSL_OP_NO_TICKET) & SSL_OP_NO_TICKET) != 0 &&
                            SSL_CTX_set_num_tickets(context, 0) == 1;
  if (!ready) return unavailable("tickets cannot be set up: " + last_error());
  return server;
}

Status TlsServer::load(const TlsIdentity& identity, const TlsOptions& options) {
  const std::string from =
      options.certificate_file.empty() ? "the made certificate" : options.certificate_file;
  const auto certificates = reader_of(identity.certificates);
  const std::unique_ptr<X509, Free> own(
      PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr));
  if (!own || SSL_CTX_use_certificate(context_, own.get()) != 1) {
    return invalid(from + " has no certificate (PEM) that can be used: " + last_error());
  }
  while (X509* issuer = PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context_, issuer) != 1) {
      X509_free(issuer);
      return invalid(from + " has a certificate that cannot be used: " + last_error());
    }
  }
  ERR_clear_error();
  const auto key_text = reader_of(identity.key);
  const std::unique_ptr<EVP_PKEY, Free> key(
      PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  if (!key || SSL_CTX_use_PrivateKey(context_, key.get()) != 1) {
    return invalid(options.key_file + " has no key (PEM) for " + from + ": " + last_error());
  }
  return absl::OkStatus();
}

// --- a session -----------------------------------------------------------------------------------

TlsSession::TlsSession(TlsServer& server) : server_(server), ssl_(SSL_new(server.context_)) {
  BIO* pipe = BIO_new(Pipe::method());
  CHECK(ssl_ != nullptr && pipe != nullptr);
  BIO_set_data(pipe, this);
  SSL_set_bio(ssl_, pipe, pipe);
  SSL_set_accept_state(ssl_);
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

std::string_view TlsSession::read(std::string& out) {
  out_ = &out;
  char* const plain = server_.plain_.get();
  size_t filled = 0;
  while (state_ <= State::kOpen && TlsServer::kPlainBytes - filled >= kRecordMax) {
    ERR_clear_error();
    const int got =
        SSL_read(ssl_, plain + filled, static_cast<int>(TlsServer::kPlainBytes - filled));
    if (state_ == State::kHandshake && SSL_is_init_finished(ssl_) == 1) state_ = State::kOpen;
    if (got <= 0) {
      take_in(got);
      break;
    }
    filled += static_cast<size_t>(got);
  }
  return {plain, filled};
}

void TlsSession::take_in(int result) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      return;
    case SSL_ERROR_ZERO_RETURN:
      state_ = State::kEnded;
      return;
    default:
      state_ = State::kFailed;
      failure_ = last_error();
  }
}

void TlsSession::write(std::string_view plain, std::string& out) {
  if (plain.empty()) return;
  out_ = &out;
  ERR_clear_error();
  const int size = static_cast<int>(plain.size());
  const int written = SSL_write(ssl_, plain.data(), size);
  if (written != size) take_in(written);
}

void TlsSession::end(std::string& out) {
  out_ = &out;
  ERR_clear_error();
  SSL_shutdown(ssl_);
}

std::string_view TlsSession::protocol() const { return SSL_get_version(ssl_); }

std::string_view TlsSession::cipher() const { return SSL_get_cipher_name(ssl_); }

bool TlsSession::resumed() const { return SSL_session_reused(ssl_) == 1; }

std::string TlsSession::server_name() const {
  const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? std::string() : std::string(name);
}

}  // namespace sluice::sink
