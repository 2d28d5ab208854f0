// An SMTP receiver as plain code on the Network: what it takes, refuses, drops, and what it saw.
//
// It speaks EHLO/HELO, MAIL, RCPT, DATA, BDAT, RSET, NOOP and QUIT, with PIPELINING, CHUNKING and
//   STARTTLS when told so, and as badly as its rules say. What it saw is kept apart from all that
//   the engine says: the Witness, when there is one, compares the two.
// OWNERSHIP. World, Network and Witness outlive it; it keeps its sessions. THREAD. One.
// BUGS. Addresses are compared as octets; no extension beyond those that it names in EHLO.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/network.h"
#include "tests/sim/tls.h"
#include "tests/sim/witness.h"
#include "tests/sim/world.h"

namespace sluice::sim {

// How replies leave.
enum class Manner : uint8_t {
  kPlain,
  kOneOctet,    // each octet in a packet of its own
  kOddPackets,  // cut and joined anywhere, whatever belongs together
  kTarpit,      // an octet now and then
};

// What comes instead of a reply.
enum class Trick : uint8_t {
  kNone,
  kGoAway,     // 421, and the end
  kSilent,     // nothing, for ever; what comes is read
  kHalfClose,  // the end of the stream, and what comes is read
  kReset,      // what was read and said may be lost
  kEndless,    // a reply that has no last line
  kGarbage,    // octets that are no reply
};

// What becomes of chunks.
enum class Chunks : uint8_t {
  kNotOffered,
  kGood,
  kReadAsCommands,  // of a refused chunk, the content
  kKeepsSender,     // behind a chunk without recipients the sender still holds
  kAnswersTwice,    // now and then
};

// What becomes of STARTTLS.
enum class TlsManner : uint8_t {
  kNotOffered,
  kGood,     // a session with its certificate
  kRefuses,  // 454
  kAlert,    // instead of a hello, as all below
  kGarbage,
  kCloses,
  kStalls,   // for ever
  kInjects,  // behind its 220, in the same packet, a reply
};

struct TlsRules {
  TlsManner manner = TlsManner::kNotOffered;
  Certificate certificate = {};
  bool is_wanted = false;     // 530 to MAIL in clear
  uint64_t hides_one_in = 0;  // connections do not see it offered; 0: none
  uint64_t fails_one_in = 0;  // handshakes end by an alert, or badly; 0: none
};

struct ReceiverRules {
  bool pipelining = true;
  Chunks chunks = Chunks::kNotOffered;
  Duration reply_delay{};
  Manner manner = Manner::kPlain;
  // The reply to RCPT, without end of line; "" accepts. `attempt` counts from 1.
  std::function<std::string(const std::string& recipient, uint32_t attempt)> rcpt;
  // The reply to MAIL, behind so many that were accepted on this connection; "" accepts.
  std::function<std::string(uint32_t accepted)> mail;
  // Asked for each reply, the greeting too.
  std::function<Trick()> trick;
  // After the final dot.
  enum class Dot : uint8_t {
    kAnswer,     // taken and answered
    kTakeDrop,   // taken, and the line torn before the reply
    kTakeClose,  // taken, and the line closed in order without a reply
    kDrop,       // not taken, and the line torn
    kRefuse,     // not taken: 554
    kDefer,      // not taken: 451
  };
  std::function<Dot(const std::string& recipient)> dot;
  uint32_t messages_per_line = 0;  // then 421 to the next MAIL; 0: any number
  uint32_t lines_max = 0;          // open at a time; further ones get 421; 0: any number
  bool refuses_size = false;       // offers SIZE and takes no SIZE=
  bool drops_group = false;        // offers PIPELINING and forgets what came behind a command
  bool no_ehlo = false;            // answers EHLO with 502
  TlsRules tls;
};

class Receiver final : public Server {
 public:
  struct Delivery {
    Instant at{};
    std::string recipient;
    uint64_t line = 0;
    bool answered = false;
    bool encrypted = false;
  };
  struct Try {
    Instant at{};
    std::string recipient;
  };

  // Listens at once.
  Receiver(World& world, Network& network, const SocketAddress& address, ReceiverRules rules);
  ~Receiver() override;

  ReceiverRules rules;
  Witness* witness = nullptr;

  const std::vector<Delivery>& deliveries() const { return deliveries_; }
  const std::vector<Try>& tries() const { return tries_; }            // every RCPT
  const std::vector<Instant>& messages() const { return messages_; }  // every MAIL
  uint32_t lines_open() const { return lines_open_; }
  uint32_t lines_open_max() const { return lines_open_max_; }
  // Connections that became TLS, and how many of them went on from an earlier session.
  uint32_t encrypted() const { return encrypted_; }
  uint32_t resumed() const { return resumed_; }
  uint32_t lines() const { return static_cast<uint32_t>(sessions_.size()); }
  // Messages whose X-Recipient is not their envelope's.
  uint32_t misdirected() const { return misdirected_; }

  void on_connection(const LinePtr& line) override;

 private:
  class Session;
  friend class Session;

  World& world_;
  Network& network_;
  const SocketAddress address_;
  std::map<uint64_t, std::unique_ptr<Session>> sessions_;
  std::map<std::string, uint32_t> attempts_;
  std::vector<Delivery> deliveries_;
  std::vector<Try> tries_;
  std::vector<Instant> messages_;
  uint32_t lines_open_ = 0;
  uint32_t lines_open_max_ = 0;
  uint32_t misdirected_ = 0;
  IssuedTickets tickets_;
  uint32_t encrypted_ = 0;
  uint32_t resumed_ = 0;
};

}  // namespace sluice::sim
