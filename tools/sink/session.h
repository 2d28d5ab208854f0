// The receiving side of an SMTP conversation as pure protocol code: octets in, replies out.
//
// Knows RFC 5321 with PIPELINING (2920), CHUNKING (3030), SIZE (1870), 8BITMIME (6152), SMTPUTF8
// (6531), ENHANCEDSTATUSCODES (2034), LIMITS (9422) and STARTTLS (3207; TLS itself is its
// caller's). No I/O, no clock: the connection layer feeds what it received, cut anywhere, and sends
// what was appended to `out`, all of it as one group. Replies do not depend on how the input was
// cut, but for octets behind STARTTLS: those that came with it are refused.
//
// Ownership: SessionContext and what it points to are one worker's and outlive its sessions.
// Thread: one worker's.
// Errors: none to the caller; the client's mistakes are answered with 5xx.
// Limits: a command line of kLineMax octets (500 and skipped beyond); recipients_max of the
//   options; content is kept only when it is stored, and at most size_max of it; header fields are
//   searched for an identity in the first kHeaderMax octets.
// BUGS: no AUTH, no DSN, no BINARYMIME. After DATA was refused by a fault, a client
//   that had its content already under way has it read as commands, as with any real server.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tools/sink/content_scan.h"
#include "tools/sink/faults.h"
#include "tools/sink/options.h"

namespace sluice::sink {

// A message that was accepted. The views live during the call.
struct Message {
  std::string_view sender;
  const std::string* recipients = nullptr;
  uint32_t recipient_count = 0;
  std::string_view identity;  // empty: each recipient is one
  std::string_view content;   // only with SessionOptions::store; dots removed
  uint64_t bytes = 0;         // of the content as it came
  std::string_view tls;       // the protocol that it came in, "TLSv1.3"; empty: in clear
};

// A TLS session that opened. The views live during the call.
struct TlsOpened {
  std::string_view protocol;     // "TLSv1.3"
  std::string_view cipher;       // "TLS_AES_128_GCM_SHA256"
  std::string_view server_name;  // what the client asked for; empty: nothing
  bool resumed = false;
};

// Where accepted messages go, and who is told of TLS.
class Recorder {
 public:
  virtual ~Recorder() = default;
  virtual void accept(const Message& message) = 0;
  virtual void tls_opened(const TlsOpened& /*session*/) {}
  // A handshake that came to nothing, in OpenSSL's words.
  virtual void tls_failed(std::string_view /*reason*/) {}
};

// What became of TLS.
struct TlsCounts {
  static constexpr size_t kServerNamesMax = 1'000;

  uint64_t handshakes = 0;  // sessions that opened, the resumed ones among them
  uint64_t resumed = 0;
  uint64_t truncated = 0;  // open sessions that the client ended without a close_notify
  std::map<std::string, uint64_t> failed;        // handshakes, by OpenSSL's words
  std::map<std::string, uint64_t> sessions;      // by protocol and cipher
  std::map<std::string, uint64_t> server_names;  // what clients asked for, at most so many
};

// What sessions of a worker count besides.
struct SessionCounts {
  uint64_t commands = 0;
  uint64_t pipelined_unasked =
      0;  // commands that came together although PIPELINING was not offered
  uint64_t messages_on_a_connection_max = 0;
  // (command, code) -> how often; code 0: no answer, or none that is right
  std::map<std::pair<Command, uint16_t>, uint64_t> refused;
  TlsCounts tls;
};

class TlsServer;

struct SessionContext {
  const SessionOptions& options;
  Faults& faults;
  Recorder& recorder;
  SessionCounts counts{};
  TlsServer* tls = nullptr;  // where STARTTLS may be offered
  uint64_t picks = 0;        // cycles through the replies of faults
  std::string replies{};     // within TLS, until they are records
};

// What to do after the replies are on their way.
enum class Next : uint8_t {
  kGoOn,
  kClose,  // send the replies, then close
  kReset,  // RST at once; the replies may be lost
  kHang,   // send the replies so far, then only read
  kTls,    // send the replies, then the client begins a TLS handshake
};

class Session {
 public:
  static constexpr size_t kLineMax = 4'096;
  static constexpr size_t kHeaderMax = 64UL << 10;

  explicit Session(SessionContext& context)
      : context_(&context), offers_tls_(context.options.starttls) {}
  // STARTTLS is neither offered nor known. Before greet().
  void offer_no_tls() { offers_tls_ = false; }

  // The greeting, or what a CONNECT fault puts in its place.
  Next greet(std::string& out);
  // Takes the next octets. After anything but kGoOn further input is ignored.
  Next feed(std::string_view bytes, std::string& out);
  // TLS has begun, in the protocol of that name, which lives as long as this: whatever was said
  // before counts no more (RFC 3207 §4.2). REQUIRES: feed() has told kTls.
  void begin_tls(std::string_view protocol);
  // It ends by a fault that is to look like a broken connection.
  bool breaks_off() const { return breaks_off_; }
  // True while a message is under way: after MAIL, until its last reply.
  bool in_transaction() const { return has_sender_ || phase_ != Phase::kCommand; }

 private:
  enum class Phase : uint8_t { kCommand, kContent, kChunk };

  size_t feed_command(std::string_view bytes, std::string& out);
  size_t feed_content(std::string_view bytes, std::string& out);
  size_t feed_chunk(std::string_view bytes, std::string& out);
  void command(std::string_view line, std::string& out);
  void hello(std::string_view name, bool extended, std::string& out);
  void mail(std::string_view arguments, std::string& out);
  bool mail_parameter(std::string_view parameter, std::string& out);
  void rcpt(std::string_view arguments, std::string& out);
  void starttls(std::string_view arguments, std::string& out);
  void data(std::string_view arguments, std::string& out);
  void bdat(std::string_view arguments, std::string& out);
  void end_chunk(std::string& out);
  void finish_message(std::string& out);
  std::string_view find_identity();
  void keep(std::string_view piece);
  void reset_transaction();
  // True when a fault struck and was answered.
  bool struck(Command command, std::string& out);
  void strike(Command command, const Fault& fault, std::string& out);
  void refuse(Command command, uint16_t code, std::string_view enhanced, std::string_view text,
              std::string& out);
  void reply(uint16_t code, std::string_view enhanced, std::string_view text, std::string& out);

  SessionContext* context_;
  Phase phase_ = Phase::kCommand;
  Next next_ = Next::kGoOn;
  bool greeted_ = false;
  bool offers_tls_ = false;
  bool more_follows_ = false;  // octets came together with the command line and behind it
  bool breaks_off_ = false;
  bool has_sender_ = false;
  bool utf8_ = false;
  bool skipping_line_ = false;
  bool chunked_ = false;        // BDAT has begun in this transaction
  bool chunk_last_ = false;     // the current chunk is the last
  bool chunk_refused_ = false;  // swallow it, the answer is in chunk_reply_
  bool keep_content_ = false;
  ContentScan scan_;
  uint32_t recipient_count_ = 0;
  uint64_t chunk_left_ = 0;
  uint64_t content_bytes_ = 0;
  uint64_t messages_ = 0;
  std::string_view tls_;  // the protocol; empty: none
  std::string line_;      // the beginning of a command line whose end has not come
  std::string sender_;
  std::string chunk_reply_;
  std::string content_;  // kept octets
  std::string identity_;
  std::vector<std::string> recipients_;  // the first recipient_count_ are in use
};

}  // namespace sluice::sink
