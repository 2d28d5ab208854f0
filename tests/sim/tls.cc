#include "tests/sim/tls.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/connect/tls_output.h"

namespace sluice::sim {
namespace {

constexpr size_t kHeader = 3;
constexpr size_t kRecordMax = 16'384;
constexpr char kMask = '\x80';
constexpr size_t kTicketsOfKey = 2;
constexpr Duration kTicketLifetime = std::chrono::hours(2);
// What is not there in a hello.
constexpr std::string_view kNothing = "-";

std::string masked(std::string_view octets) {
  std::string out(octets);
  for (char& octet : out) octet = static_cast<char>(octet ^ kMask);
  return out;
}

std::string word(std::string_view text) { return std::string(text.empty() ? kNothing : text); }
std::string text(std::string_view word) { return std::string(word == kNothing ? "" : word); }

std::string server_hello(bool resumed, const Certificate& certificate) {
  return std::string(resumed ? "resumed " : "new ") + word(certificate.name) +
         (certificate.trusted ? " trusted " : " unknown ") + word(certificate.digest);
}

bool is_for_one_of(const std::vector<std::string>& names, const Certificate& certificate) {
  return std::find(names.begin(), names.end(), certificate.name) != names.end();
}

// Nothing: it passes.
std::optional<TlsFailure> check(const TlsDemand& demand, const Certificate& certificate) {
  const TlsFailure mismatch{TlsFailureKind::kHostMismatch,
                            "the certificate is for " + certificate.name};
  switch (demand.check) {
    case TlsCheck::kNone:
      return std::nullopt;
    case TlsCheck::kNames:
      if (!certificate.trusted) {
        return TlsFailure{TlsFailureKind::kNotTrusted, "the certificate is not trusted"};
      }
      if (!is_for_one_of(demand.names, certificate)) return mismatch;
      return std::nullopt;
    case TlsCheck::kDane:
      for (const TlsaRecord& record : demand.tlsa) {
        const bool named = record.usage == 3 || is_for_one_of(demand.names, certificate);
        if (record.data == certificate.digest && named) return std::nullopt;
      }
      return TlsFailure{TlsFailureKind::kTlsaMismatch, "no TLSA record fits the certificate"};
  }
  return std::nullopt;
}

}  // namespace

std::string seal(RecordType type, std::string_view octets) {
  std::string out;
  do {
    const std::string_view part = octets.substr(0, kRecordMax);
    octets.remove_prefix(part.size());
    out += static_cast<char>(type);
    out += static_cast<char>(part.size() >> 8);
    out += static_cast<char>(part.size() & 0xff);
    out += masked(part);
  } while (!octets.empty());
  return out;
}

size_t RecordReader::add(std::string_view octets) {
  size_t taken = 0;
  while (taken < octets.size() && !broken_) {
    size_t whole = kHeader;
    if (octets_.size() >= kHeader) {
      whole += static_cast<size_t>(static_cast<uint8_t>(octets_[1])) << 8;
      whole += static_cast<uint8_t>(octets_[2]);
      if (octets_.size() == whole) break;
    }
    const size_t step = std::min(whole - octets_.size(), octets.size() - taken);
    octets_ += octets.substr(taken, step);
    taken += step;
    broken_ = octets_[0] < static_cast<char>(RecordType::kAlert) ||
              octets_[0] > static_cast<char>(RecordType::kData);
  }
  return taken;
}

std::optional<RecordReader::Record> RecordReader::take() {
  if (broken_ || octets_.size() < kHeader) return std::nullopt;
  const size_t size = (static_cast<size_t>(static_cast<uint8_t>(octets_[1])) << 8) +
                      static_cast<uint8_t>(octets_[2]);
  if (octets_.size() < kHeader + size) return std::nullopt;
  Record record{static_cast<RecordType>(octets_[0]),
                masked(std::string_view(octets_).substr(kHeader))};
  octets_.clear();
  return record;
}

// --- the engine's side ---------------------------------------------------------------------------

class SimTlsFactory::Engine final : public TlsEngine {
 public:
  Engine(SimTlsFactory& factory, TlsDemand demand, std::string_view exchanger, Instant now)
      : factory_(factory),
        demand_(std::move(demand)),
        key_(ticket_key(demand_, exchanger)),
        tickets_until_(now + kTicketLifetime) {
    const std::string ticket = factory_.take(key_, now);
    tell(RecordType::kHandshake, "hello " + word(demand_.server_name) + " " + word(ticket));
  }

  size_t receive(std::string_view octets) override {
    size_t taken = 0;
    while (taken < octets.size() && plain_.empty() && !failed() && !ended()) {
      taken += reader_.add(octets.substr(taken));
      if (reader_.broken()) fail({TlsFailureKind::kHandshake, "what came is no record"});
      const std::optional<RecordReader::Record> record = reader_.take();
      if (record) on_record(*record);
    }
    return failed() || ended() ? octets.size() : taken;
  }

  void receive_end() override {
    if (failed() || ended()) return;
    fail({TlsFailureKind::kTruncated, "the connection ended without a close_notify"});
  }

  bool open() const override { return phase_ == Phase::kOpen || phase_ == Phase::kEnded; }
  bool ended() const override { return phase_ == Phase::kEnded; }
  bool failed() const override { return phase_ == Phase::kFailed; }
  const TlsFailure& failure() const override {
    CHECK(failed());
    return failure_;
  }
  const TlsFacts& facts() const override {
    CHECK(open());
    return facts_;
  }

  size_t read(std::span<char> out) override {
    const size_t count = std::min(out.size(), plain_.size());
    std::copy_n(plain_.begin(), count, out.begin());
    plain_.erase(0, count);
    return count;
  }

  size_t write(std::span<const iovec> pieces) override {
    CHECK(open());
    if (failed() || ended()) return 0;
    size_t taken = 0;
    std::string part;
    for (const iovec& piece : pieces) {
      std::string_view octets(static_cast<const char*>(piece.iov_base), piece.iov_len);
      while (!octets.empty()) {
        const size_t step = std::min(octets.size(), kRecordMax - part.size());
        part += octets.substr(0, step);
        octets.remove_prefix(step);
        if (part.size() < kRecordMax) continue;
        if (!write_record(part, taken)) return taken;
      }
    }
    if (!part.empty()) write_record(part, taken);
    return taken;
  }

  void end() override {
    CHECK(open());
    tell(RecordType::kAlert, "close_notify");
  }

  std::string_view outgoing() const override { return out_.pending(); }
  void sent(size_t octets) override { out_.sent(octets); }
  void rest() override { out_.rest(); }

 private:
  enum class Phase : uint8_t { kHello, kOpen, kEnded, kFailed };

  void tell(RecordType type, std::string_view octets) { CHECK(out_.append(seal(type, octets))); }

  bool write_record(std::string& part, size_t& taken) {
    if (!out_.make_room(kHeader + part.size())) return false;
    tell(RecordType::kData, part);
    taken += part.size();
    part.clear();
    return true;
  }

  void fail(TlsFailure failure) {
    if (phase_ == Phase::kHello) factory_.tickets_.erase(key_);
    phase_ = Phase::kFailed;
    failure_ = std::move(failure);
  }

  void on_record(const RecordReader::Record& record) {
    if (record.type == RecordType::kAlert) {
      if (phase_ == Phase::kOpen && record.octets == "close_notify") {
        phase_ = Phase::kEnded;
      } else {
        fail({TlsFailureKind::kHandshake, "the peer sends an alert: " + record.octets});
      }
    } else if (record.type == RecordType::kData) {
      if (phase_ != Phase::kOpen) {
        return fail({TlsFailureKind::kHandshake, "data came before the handshake's end"});
      }
      plain_ += record.octets;
    } else if (phase_ == Phase::kHello) {
      on_hello(record.octets);
    } else {
      factory_.keep(key_, {record.octets, tickets_until_});
    }
  }

  void on_hello(std::string_view hello) {
    const std::vector<std::string_view> words = split(hello, ' ');
    if (words.size() != 4) return fail({TlsFailureKind::kHandshake, "no hello"});
    facts_.resumed = words[0] == "resumed";
    const Certificate certificate{text(words[1]), words[2] == "trusted", text(words[3])};
    // A session that goes on shows no certificate: it was looked at when the ticket was given, for
    // the same demand.
    if (!facts_.resumed) {
      if (std::optional<TlsFailure> failure = check(demand_, certificate)) {
        tell(RecordType::kAlert, "bad_certificate");
        return fail(std::move(*failure));
      }
    }
    facts_.protocol = "TLSv1.3";
    facts_.cipher = "TLS_AES_128_GCM_SHA256";
    facts_.passed = demand_.check;
    phase_ = Phase::kOpen;
    tell(RecordType::kHandshake, "finished");
  }

  SimTlsFactory& factory_;
  const TlsDemand demand_;
  const TicketKey key_;
  const Instant tickets_until_;
  RecordReader reader_;
  TlsOutput out_{kOutgoingMax};
  std::string plain_;
  TlsFacts facts_;
  TlsFailure failure_;
  Phase phase_ = Phase::kHello;
};

std::unique_ptr<TlsEngine> SimTlsFactory::connect(const TlsDemand& demand,
                                                  std::string_view exchanger, Instant now) {
  return std::make_unique<Engine>(*this, demand, exchanger, now);
}

void SimTlsFactory::keep(const TicketKey& key, const Ticket& ticket) {
  std::deque<Ticket>& kept = tickets_[key];
  kept.push_back(ticket);
  if (kept.size() > kTicketsOfKey) kept.pop_front();
}

std::string SimTlsFactory::take(const TicketKey& key, Instant now) {
  std::deque<Ticket>& kept = tickets_[key];
  while (!kept.empty()) {
    const Ticket ticket = std::move(kept.back());
    kept.pop_back();
    if (now < ticket.until) return ticket.name;
  }
  return {};
}

// --- a receiver's side ---------------------------------------------------------------------------

std::string TlsServer::receive(std::string_view octets) {
  std::string plain;
  while (!octets.empty() && !failed() && !ended()) {
    octets.remove_prefix(reader_.add(octets));
    if (reader_.broken()) phase_ = Phase::kFailed;
    const std::optional<RecordReader::Record> record = reader_.take();
    if (!record) continue;
    if (record->type == RecordType::kAlert) {
      phase_ = record->octets == "close_notify" && shook_hands() ? Phase::kEnded : Phase::kFailed;
    } else if (record->type == RecordType::kData && phase_ == Phase::kOpen) {
      plain += record->octets;
    } else if (record->type == RecordType::kHandshake && phase_ == Phase::kHello) {
      on_hello(record->octets);
    } else if (record->type == RecordType::kHandshake && phase_ == Phase::kFinished) {
      phase_ = Phase::kOpen;
    } else {
      phase_ = Phase::kFailed;
    }
  }
  return plain;
}

void TlsServer::on_hello(std::string_view hello) {
  const std::vector<std::string_view> words = split(hello, ' ');
  if (words.size() != 3 || words[0] != "hello") {
    phase_ = Phase::kFailed;
    return;
  }
  server_name_ = text(words[1]);
  if (const auto session = issued_.sessions.find(text(words[2]));
      session != issued_.sessions.end()) {
    resumed_ = true;
    certificate_ = session->second;
    issued_.sessions.erase(session);
  }
  const std::string ticket = "ticket" + std::to_string(++issued_.made);
  issued_.sessions[ticket] = certificate_;
  outgoing_ += seal(RecordType::kHandshake, server_hello(resumed_, certificate_));
  outgoing_ += seal(RecordType::kHandshake, ticket);
  phase_ = Phase::kFinished;
}

std::string TlsServer::take_outgoing() { return std::exchange(outgoing_, {}); }

}  // namespace sluice::sim
