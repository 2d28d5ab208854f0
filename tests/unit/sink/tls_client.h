// A TLS client in memory, against a Conversation: what it says arrives there, what is answered
// here.
#pragma once

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <string>
#include <string_view>
#include <vector>

#include "tools/sink/conversation.h"

namespace sluice::sink {

class TlsKeeper : public Recorder {
 public:
  void accept(const Message& message) override {
    messages.push_back(std::string(message.tls) + "|" + std::string(message.recipients[0]));
  }
  void tls_opened(const TlsOpened& session) override {
    opened.push_back(std::string(session.protocol) + "|" + std::string(session.server_name) +
                     (session.resumed ? "|resumed" : "|full"));
  }
  void tls_failed(std::string_view reason) override { failed.emplace_back(reason); }

  std::vector<std::string> messages;
  std::vector<std::string> opened;
  std::vector<std::string> failed;
};

// A worker's part of the receiver, without its sockets.
struct TlsWorker {
  explicit TlsWorker(const SinkOptions& o = {}) : TlsWorker(o, identity_of(o)) {}
  TlsWorker(SinkOptions o, TlsIdentity shown) : options(std::move(o)), identity(std::move(shown)) {
    options.session.starttls = true;
    auto made = TlsServer::make(options.tls, identity);
    EXPECT_TRUE(made.ok()) << made.status();
    server = std::move(*made);
    context.tls = server.get();
  }
  static TlsIdentity identity_of(const SinkOptions& o) {
    auto made = make_tls_identity(o.tls, o.session.hostname);
    EXPECT_TRUE(made.ok()) << made.status();
    return *made;
  }

  SinkOptions options;
  TlsIdentity identity;
  FirstAttempts first_attempts;
  Faults faults{options, first_attempts, 0};
  TlsKeeper keeper;
  std::unique_ptr<TlsServer> server;
  SessionContext context{options.session, faults, keeper, {}, nullptr};
};

// One connection of a client; pieces of `piece` octets travel in both directions.
class TlsClient {
 public:
  explicit TlsClient(TlsWorker& worker, size_t piece = SIZE_MAX)
      : conversation_(worker.context, true),
        piece_(piece),
        context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(context_, this);
    SSL_CTX_sess_set_new_cb(context_, keep_ticket);
    const void* text = worker.identity.certificates.data();
    BIO* reader = BIO_new_mem_buf(text, static_cast<int>(worker.identity.certificates.size()));
    X509* root = PEM_read_bio_X509(reader, nullptr, nullptr, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context_), root);
    X509_free(root);
    BIO_free(reader);
    next_ = conversation_.greet(clear_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    for (SSL_SESSION* ticket : tickets_) SSL_SESSION_free(ticket);
  }

  SSL_CTX* context() { return context_; }
  Next next() const { return next_; }
  Conversation& conversation() { return conversation_; }
  // Everything that the receiver has sent and nobody has read.
  std::string take_clear() { return std::exchange(clear_, {}); }

  // In clear, or whatever the socket is to carry.
  std::string say_raw(std::string_view octets) {
    for (size_t at = 0; at < octets.size() && next_ == Next::kGoOn; at += piece_) {
      next_ = conversation_.feed(octets.substr(at, std::min(piece_, octets.size() - at)), clear_);
      if (piece_ == SIZE_MAX) break;
    }
    return take_clear();
  }
  // EHLO and STARTTLS; true when it was answered 220 and nothing else.
  bool ask_for_tls() {
    take_clear();
    say_raw("EHLO me\r\n");
    const std::string reply = say_raw("STARTTLS\r\n");
    return reply == "220 2.0.0 Ready to start TLS\r\n";
  }
  // The handshake; true when both sides have finished it. `ticket` is offered, if given.
  bool shake_hands(const char* name = nullptr, SSL_SESSION* ticket = nullptr) {
    ssl_ = SSL_new(context_);
    SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (name != nullptr) {
      // The macro for this has a cast of C.
      SSL_ctrl(ssl_, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
               const_cast<char*>(name));
      SSL_set1_host(ssl_, name);
      SSL_set_verify(ssl_, SSL_VERIFY_PEER, nullptr);
    }
    if (ticket != nullptr) SSL_set_session(ssl_, ticket);
    while (true) {
      const int result = SSL_connect(ssl_);
      // Asked before anything is carried, which changes what it looks at.
      const int error = SSL_get_error(ssl_, result);
      const bool moved = carry();
      if (result == 1) return true;
      if (error != SSL_ERROR_WANT_READ || !moved) return false;
    }
  }
  // Within TLS; what is answered.
  std::string say(std::string_view text) {
    if (!text.empty()) SSL_write(ssl_, text.data(), static_cast<int>(text.size()));
    carry();
    return hear();
  }
  // The octets that `text` would travel as.
  std::string records_of(std::string_view text) {
    SSL_write(ssl_, text.data(), static_cast<int>(text.size()));
    return drain();
  }
  std::string hear() {
    std::string all;
    char buffer[4'096];
    int got = 0;
    while ((got = SSL_read(ssl_, buffer, sizeof buffer)) > 0) {
      all.append(buffer, static_cast<size_t>(got));
    }
    ended_ = SSL_get_error(ssl_, got) == SSL_ERROR_ZERO_RETURN;
    return all;
  }
  void end() {
    SSL_shutdown(ssl_);
    carry();
  }
  // The receiver has ended the session in order; known after hear().
  bool ended() const { return ended_; }
  // All octets that came from the receiver since the handshake began.
  const std::string& carried() const { return carried_; }
  bool resumed() const { return SSL_session_reused(ssl_) == 1; }
  const std::vector<SSL_SESSION*>& tickets() const { return tickets_; }

 private:
  static int keep_ticket(SSL* ssl, SSL_SESSION* ticket) {
    void* self = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    static_cast<TlsClient*>(self)->tickets_.push_back(ticket);
    return 1;
  }
  std::string drain() {
    std::string octets(static_cast<size_t>(BIO_ctrl_pending(SSL_get_wbio(ssl_))), '\0');
    if (!octets.empty())
      BIO_read(SSL_get_wbio(ssl_), octets.data(), static_cast<int>(octets.size()));
    return octets;
  }
  // What waits to be sent, and back what that is answered with; false: nothing came back.
  bool carry() {
    const std::string answer = say_raw(drain());
    carried_ += answer;
    for (size_t at = 0; at < answer.size(); at += std::min(piece_, answer.size() - at)) {
      const std::string_view part = std::string_view(answer).substr(at, piece_);
      BIO_write(SSL_get_rbio(ssl_), part.data(), static_cast<int>(part.size()));
    }
    return !answer.empty();
  }

  Conversation conversation_;
  const size_t piece_;
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  Next next_ = Next::kGoOn;
  bool ended_ = false;
  std::string clear_;
  std::string carried_;
  std::vector<SSL_SESSION*> tickets_;
};

}  // namespace sluice::sink
