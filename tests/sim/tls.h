// The simulation's handshake: what TLS promises, without its mathematics.
//
// PURPOSE. SimTlsFactory gives the engine's side, TlsServer is a receiver's. On the line there are
//   records (type, length, masked octets): nothing in them reads as SMTP, and SMTP is no record. A
//   handshake is a hello of the client (server name, ticket), a hello of the server (its
//   certificate, or that it resumes), and the client's word that it is content: one round trip.
//   Then data, new tickets, close_notify; an alert ends it.
// WHAT IS CHECKED. As TlsDemand says: a certificate is trusted or not, is for one name, and has a
//   digest, which is what a TLSA record of usage 3 or 2 holds.
// TICKETS. The engine's are used once and kept by ticket_key(), the engine's own rule. A server
//   that resumes shows no certificate: the session is as good as the one that it goes on from.
// OWNERSHIP. A factory outlives its engines, IssuedTickets the servers. THREAD. One.
// ERRORS. TlsEngine::failure(); TlsServer::failed(). LIMITS. Records of 16 KiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/time.h"
#include "engine/connect/tls.h"
#include "engine/connect/tls_tickets.h"

namespace sluice::sim {

struct Certificate {
  std::string name;
  bool trusted = true;
  std::string digest = {};
};

enum class RecordType : uint8_t { kAlert = 21, kHandshake = 22, kData = 23 };

// As many records as it takes.
std::string seal(RecordType type, std::string_view octets);

// Finds records in octets that come cut anywhere.
class RecordReader {
 public:
  struct Record {
    RecordType type = RecordType::kAlert;
    std::string octets;
  };
  // Takes octets up to the end of a record at most; returns how many.
  size_t add(std::string_view octets);
  // The record that is whole, once.
  std::optional<Record> take();
  // What came is no record.
  bool broken() const { return broken_; }

 private:
  std::string octets_;
  bool broken_ = false;
};

class SimTlsFactory final : public TlsFactory {
 public:
  std::unique_ptr<TlsEngine> connect(const TlsDemand& demand, std::string_view exchanger,
                                     Instant now) override;

 private:
  class Engine;
  struct Ticket {
    std::string name;
    Instant until{};
  };
  void keep(const TicketKey& key, const Ticket& ticket);
  // "": none.
  std::string take(const TicketKey& key, Instant now);

  std::map<TicketKey, std::deque<Ticket>> tickets_;
};

// What a receiver gave out, by name: the certificate of the session that it was given in.
struct IssuedTickets {
  std::map<std::string, Certificate> sessions;
  uint64_t made = 0;
};

class TlsServer {
 public:
  TlsServer(IssuedTickets& issued, Certificate certificate)
      : issued_(issued), certificate_(std::move(certificate)) {}

  // Takes what came; gives the plain octets of it.
  std::string receive(std::string_view octets);
  // What the client is to get next, once.
  std::string take_outgoing();
  // REQUIRES: shook_hands().
  std::string write(std::string_view plain) const { return seal(RecordType::kData, plain); }
  static std::string end() { return seal(RecordType::kAlert, "close_notify"); }
  static std::string alert() { return seal(RecordType::kAlert, "handshake_failure"); }

  // The client is content.
  bool shook_hands() const { return phase_ == Phase::kOpen || phase_ == Phase::kEnded; }
  bool ended() const { return phase_ == Phase::kEnded; }
  bool failed() const { return phase_ == Phase::kFailed; }
  bool resumed() const { return resumed_; }
  const std::string& server_name() const { return server_name_; }
  // Of the session, as it was when it was first made.
  const Certificate& certificate() const { return certificate_; }

 private:
  enum class Phase : uint8_t { kHello, kFinished, kOpen, kEnded, kFailed };
  void on_hello(std::string_view words);

  IssuedTickets& issued_;
  Certificate certificate_;
  RecordReader reader_;
  std::string outgoing_;
  std::string server_name_;
  Phase phase_ = Phase::kHello;
  bool resumed_ = false;
};

}  // namespace sluice::sim
