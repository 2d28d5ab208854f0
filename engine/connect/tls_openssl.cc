#include "engine/connect/tls_openssl.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/connect/tls_bio.h"
#include "engine/connect/tls_check.h"
#include "engine/connect/tls_tickets.h"

namespace sluice {
namespace {

constexpr size_t kRecord = 16'384;
constexpr size_t kRecordOnWire = kRecord + 256;  // TLS 1.2 allows so much around it
constexpr size_t kOutputMax = 4 * kRecordOnWire;
static_assert(kOutputMax + TlsOutput::kAppendMax <= TlsEngine::kOutgoingMax);
constexpr uint32_t kTicketsOfSession = 2;

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct FreeSsl {
  void operator()(SSL* session) const { SSL_free(session); }
};

// Why no certificate was read from that file.
std::string why_no_roots(const std::string& path) {
  const int error = ::access(path.c_str(), R_OK) == 0 ? 0 : errno;
  ERR_clear_error();
  if (error != 0) return std::error_code(error, std::generic_category()).message();
  return "it has no certificate in PEM; give a file such as /etc/ssl/certs/ca-certificates.crt";
}

std::string error_text() {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  std::string text = reason != nullptr ? reason : "no reason given";
  ERR_clear_error();
  return text;
}

}  // namespace

struct OpenSslFactory::Context {
  explicit Context(const TlsOptions& options)
      : tickets(options.tickets_max, options.ticket_lifetime_max) {}

  std::unique_ptr<SSL_CTX, FreeContext> ssl;
  TlsTickets tickets;
  Instant now{};  // of the last demand
  bool roots_read = false;
  // Where pieces are put together to a record.
  std::array<char, kRecord> record;
  TlsBlocks blocks{kOutputMax};
};

class OpenSslFactory::Engine : public TlsEngine {
 public:
  Engine(Context& context, const TlsDemand& demand, std::string_view exchanger);
  ~Engine() override;

  size_t receive(std::string_view octets) override;
  void receive_end() override;
  bool open() const override { return open_; }
  bool ended() const override { return ended_; }
  bool failed() const override { return failed_; }
  const TlsFailure& failure() const override {
    CHECK(failed_);
    return failure_;
  }
  const TlsFacts& facts() const override {
    CHECK(open_);
    return facts_;
  }
  size_t read(std::span<char> out) override;
  size_t write(std::span<const iovec> pieces) override;
  void end() override;
  std::string_view outgoing() const override { return wire_.output.pending(); }
  void sent(size_t octets) override { wire_.output.sent(octets); }
  void rest() override;

  static int check(X509_STORE_CTX* chain, void* unused);
  static int keep_ticket(SSL* ssl, SSL_SESSION* session);

 private:
  static Engine& of(const SSL* ssl) { return *static_cast<Engine*>(SSL_get_ex_data(ssl, 0)); }
  void shake_hands();
  void become_open();
  void fail(TlsFailure failure);
  // What a call that did not succeed means; the error queue is that call's.
  void judge(int result);
  size_t write_record(const char* octets, size_t count);

  Context& context_;
  const TlsDemand demand_;
  const TicketKey key_;
  TlsWire wire_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  ChainFault fault_;
  TlsFailure failure_;
  TlsFacts facts_;
  // Tickets that came before it was proved who gave them.
  std::vector<SessionPtr> early_;
  uint32_t tickets_ = 0;
  bool readable_ = false;  // plain octets wait
  bool open_ = false;
  bool ended_ = false;
  bool failed_ = false;
  bool closing_ = false;
};

OpenSslFactory::Engine::Engine(Context& context, const TlsDemand& demand,
                               std::string_view exchanger)
    : context_(context),
      demand_(demand),
      key_(ticket_key(demand, exchanger)),
      wire_(context.blocks) {
  ERR_clear_error();
  ssl_.reset(SSL_new(context.ssl.get()));
  CHECK(ssl_ != nullptr);
  CHECK(SSL_set_ex_data(ssl_.get(), 0, this) == 1);
  BIO* const bio = make_tls_bio(wire_);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_connect_state(ssl_.get());
  std::string unmeetable;
  if (!demand.server_name.empty() &&
      SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
               const_cast<char*>(demand.server_name.c_str())) != 1) {
    unmeetable = "the name cannot be told to the server: it is too long";
  }
  if (unmeetable.empty()) unmeetable = set_check(ssl_.get(), demand);
  if (!unmeetable.empty()) {
    const bool dane = demand.check == TlsCheck::kDane;
    fail({dane ? TlsFailureKind::kTlsaMismatch : TlsFailureKind::kHandshake, unmeetable});
    return;
  }
  if (demand.peer == nullptr) {
    if (const SessionPtr session = context.tickets.take(key_, context.now)) {
      (void)SSL_set_session(ssl_.get(), session.get());
    }
  }
  shake_hands();
}

OpenSslFactory::Engine::~Engine() {
  // Else a connection that was simply closed would spoil its tickets.
  const bool cut = failed_ && failure_.kind == TlsFailureKind::kTruncated;
  if (open_ && (!failed_ || cut))
    SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

int OpenSslFactory::Engine::check(X509_STORE_CTX* chain, void* /*unused*/) {
  const auto* const ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  Engine& engine = of(ssl);
  if (engine.demand_.peer != nullptr) describe_peer(chain, ssl, engine.demand_);
  return check_chain(chain, engine.demand_, engine.fault_);
}

int OpenSslFactory::Engine::keep_ticket(SSL* ssl, SSL_SESSION* session) {
  Engine& engine = of(ssl);
  SessionPtr mine(session);
  if (engine.failed_ || engine.tickets_ == kTicketsOfSession) return 1;
  ++engine.tickets_;
  if (engine.open_) {
    engine.context_.tickets.keep(engine.key_, std::move(mine), engine.context_.now);
  } else {
    engine.early_.push_back(std::move(mine));
  }
  return 1;
}

void OpenSslFactory::Engine::fail(TlsFailure failure) {
  if (failed_) return;
  failed_ = true;
  readable_ = false;
  failure_ = std::move(failure);
  early_.clear();
  if (!open_ && ssl_ != nullptr) context_.tickets.forget(key_);
}

void OpenSslFactory::Engine::judge(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return;
    case SSL_ERROR_ZERO_RETURN:
      ended_ = true;
      return;
    default:
      fail(failure_of(demand_, fault_));
  }
}

void OpenSslFactory::Engine::shake_hands() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    become_open();
  } else {
    judge(result);
    if (ended_) fail({TlsFailureKind::kTruncated, "the peer ended TLS within the handshake"});
  }
}

void OpenSslFactory::Engine::become_open() {
  if (!proved(ssl_.get(), demand_)) {
    const bool dane = demand_.check == TlsCheck::kDane;
    fail({dane ? TlsFailureKind::kTlsaMismatch : TlsFailureKind::kNotTrusted,
          "the peer's certificate was not verified"});
    return;
  }
  facts_.protocol = SSL_get_version(ssl_.get());
  facts_.cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl_.get()));
  facts_.resumed = SSL_session_reused(ssl_.get()) == 1;
  facts_.passed = demand_.check;
  open_ = true;
  for (SessionPtr& session : early_) {
    context_.tickets.keep(key_, std::move(session), context_.now);
  }
  early_.clear();
}

size_t OpenSslFactory::Engine::receive(std::string_view octets) {
  if (failed_ || ended_) return octets.size();
  if (readable_) return 0;
  wire_.input = octets;
  if (!open_) shake_hands();
  // Makes one record readable, where it lies; tickets and the like before it are dealt with.
  size_t before = SIZE_MAX;
  while (open_ && !failed_ && !ended_ && !readable_ && !wire_.input.empty() &&
         wire_.input.size() < before) {
    before = wire_.input.size();
    ERR_clear_error();
    char first = 0;
    size_t count = 0;
    const int result = SSL_peek_ex(ssl_.get(), &first, 1, &count);
    readable_ = result == 1;
    if (!readable_) judge(result);
  }
  const size_t left = std::exchange(wire_.input, {}).size();
  return failed_ || ended_ ? octets.size() : octets.size() - left;
}

void OpenSslFactory::Engine::receive_end() {
  if (failed_ || ended_) return;
  fail({TlsFailureKind::kTruncated, open_ ? "the peer ended the connection without ending TLS"
                                          : "the peer ended the connection within the handshake"});
}

size_t OpenSslFactory::Engine::read(std::span<char> out) {
  if (!readable_ || out.empty()) return 0;
  ERR_clear_error();
  size_t count = 0;
  const int result = SSL_read_ex(ssl_.get(), out.data(), out.size(), &count);
  readable_ = SSL_pending(ssl_.get()) > 0;
  if (result == 1) return count;
  judge(result);
  return 0;
}

size_t OpenSslFactory::Engine::write_record(const char* octets, size_t count) {
  ERR_clear_error();
  size_t written = 0;
  const int result = SSL_write_ex(ssl_.get(), octets, count, &written);
  if (result == 1) return written;
  judge(result);
  return 0;
}

size_t OpenSslFactory::Engine::write(std::span<const iovec> pieces) {
  CHECK(open_ && !closing_);
  size_t taken = 0;
  size_t at = 0;      // the piece
  size_t inside = 0;  // octets of it that were taken
  while (at < pieces.size() && !failed_) {
    const auto* const whole = static_cast<const char*>(pieces[at].iov_base);
    const char* octets = whole + inside;
    size_t count = std::min(pieces[at].iov_len - inside, kRecord);
    if (count < kRecord && at + 1 < pieces.size()) {
      // Small ones share a record.
      octets = context_.record.data();
      count = 0;
      size_t skip = inside;
      for (size_t i = at; i < pieces.size() && count < kRecord; ++i) {
        const size_t step = std::min(pieces[i].iov_len - skip, kRecord - count);
        std::memcpy(context_.record.data() + count,
                    static_cast<const char*>(pieces[i].iov_base) + skip, step);
        count += step;
        skip = 0;
      }
    }
    if (count == 0) break;
    if (!wire_.output.make_room(count + (kRecordOnWire - kRecord))) break;
    const size_t written = write_record(octets, count);
    if (written == 0) break;
    taken += written;
    inside += written;
    while (at < pieces.size() && inside >= pieces[at].iov_len) {
      inside -= pieces[at].iov_len;
      ++at;
    }
  }
  return taken;
}

void OpenSslFactory::Engine::end() {
  CHECK(open_);
  if (failed_ || closing_) return;
  closing_ = true;
  ERR_clear_error();
  (void)SSL_shutdown(ssl_.get());
}

void OpenSslFactory::Engine::rest() {
  // Refused by OpenSSL while octets wait in them.
  ERR_clear_error();
  (void)SSL_free_buffers(ssl_.get());
  wire_.output.rest();
}

OpenSslFactory::OpenSslFactory(std::unique_ptr<Context> context) : context_(std::move(context)) {}

OpenSslFactory::~OpenSslFactory() = default;

StatusOr<std::unique_ptr<OpenSslFactory>> OpenSslFactory::make(const TlsOptions& options) {
  ERR_clear_error();
  auto context = std::make_unique<Context>(options);
  context->ssl.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const ssl = context->ssl.get();
  if (ssl == nullptr || SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1) {
    return unavailable("OpenSSL cannot be set up: " + error_text());
  }
  SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ssl, Engine::keep_ticket);
  SSL_CTX_set_cert_verify_callback(ssl, Engine::check, nullptr);
  allow_checks(ssl);
  if (!options.ca_file.empty()) {
    if (SSL_CTX_load_verify_file(ssl, options.ca_file.c_str()) != 1) {
      return misconfigured("[tls] ca_file = " + escaped(options.ca_file) +
                           " cannot be used: " + why_no_roots(options.ca_file));
    }
    context->roots_read = true;
  }
  return std::unique_ptr<OpenSslFactory>(new OpenSslFactory(std::move(context)));
}

std::unique_ptr<TlsEngine> OpenSslFactory::connect(const TlsDemand& demand,
                                                   std::string_view exchanger, Instant now) {
  context_->now = std::max(context_->now, now);
  const bool roots_wanted = demand.check == TlsCheck::kNames || demand.peer != nullptr;
  if (roots_wanted && !context_->roots_read) {
    context_->roots_read = true;
    // Without roots every check of names fails, and says so.
    if (SSL_CTX_set_default_verify_paths(context_->ssl.get()) != 1) ERR_clear_error();
  }
  return std::make_unique<Engine>(*context_, demand, exchanger);
}

size_t OpenSslFactory::tickets() const { return context_->tickets.size(); }

}  // namespace sluice
