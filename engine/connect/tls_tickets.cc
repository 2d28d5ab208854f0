#include "engine/connect/tls_tickets.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/defect.h"

namespace sluice {
namespace {

// With its length before it, so that no two lists of texts look alike.
void put(std::string& to, std::string_view text) {
  to += std::to_string(text.size());
  to += ':';
  to += text;
}

}  // namespace

TicketKey ticket_key(const TlsDemand& demand, std::string_view exchanger) {
  std::string text;
  put(text, exchanger);
  put(text, demand.server_name);
  if (defect(Defect::kSkipOnResume)) return sha256(text);
  text += static_cast<char>('0' + static_cast<int>(demand.check));
  if (demand.check == TlsCheck::kNone) return sha256(text);
  std::vector<std::string_view> names(demand.names.begin(), demand.names.end());
  std::sort(names.begin(), names.end());
  put(text, std::to_string(names.size()));
  for (const std::string_view name : names) put(text, name);
  if (demand.check != TlsCheck::kDane) return sha256(text);
  std::vector<const TlsaRecord*> records;
  records.reserve(demand.tlsa.size());
  for (const TlsaRecord& record : demand.tlsa) records.push_back(&record);
  const auto fields = [](const TlsaRecord* record) {
    return std::tie(record->usage, record->selector, record->matching, record->data);
  };
  const auto before = [&fields](const TlsaRecord* a, const TlsaRecord* b) {
    return fields(a) < fields(b);
  };
  std::sort(records.begin(), records.end(), before);
  for (const TlsaRecord* record : records) {
    text += static_cast<char>(record->usage);
    text += static_cast<char>(record->selector);
    text += static_cast<char>(record->matching);
    put(text, record->data);
  }
  return sha256(text);
}

TlsTickets::TlsTickets(size_t tickets_max, Duration lifetime_max)
    : tickets_max_(tickets_max), lifetime_max_(lifetime_max) {}

void TlsTickets::drop(Place place) {
  const auto found = places_.find(place->key);
  CHECK(found != places_.end());
  Places& places = found->second;
  Place* const end = places.at + places.count;
  Place* const mine = std::find(places.at, end, place);
  CHECK(mine != end);
  std::move(mine + 1, end, mine);
  if (--places.count == 0) places_.erase(found);
  by_age_.erase(place);
}

void TlsTickets::keep(const TicketKey& key, SessionPtr session, Instant now) {
  if (tickets_max_ == 0 || SSL_SESSION_is_resumable(session.get()) != 1) return;
  Duration lifetime = lifetime_max_;
  // 0 is "not said" in TLS 1.2 and "do not keep" in 1.3 (RFC 5077 §3.3, RFC 8446 §4.6.1).
  const std::chrono::seconds hint(SSL_SESSION_get_ticket_lifetime_hint(session.get()));
  const bool single = SSL_SESSION_get_protocol_version(session.get()) >= TLS1_3_VERSION;
  if (hint.count() == 0 && single) return;
  if (hint.count() > 0) lifetime = std::min<Duration>(lifetime, hint);
  if (const auto found = places_.find(key);
      found != places_.end() && found->second.count == kPerKey) {
    drop(found->second.at[0]);
  }
  if (by_age_.size() == tickets_max_) drop(by_age_.begin());
  const Place place =
      by_age_.insert(by_age_.end(), Ticket{key, std::move(session), now + lifetime});
  Places& places = places_[key];
  places.at[places.count++] = place;
}

SessionPtr TlsTickets::take(const TicketKey& key, Instant now) {
  while (true) {
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    const Place place = found->second.at[found->second.count - 1];
    SSL_SESSION* const session = place->session.get();
    const bool usable = now < place->until && SSL_SESSION_is_resumable(session) == 1;
    if (usable && SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION) {
      CHECK(SSL_SESSION_up_ref(session) == 1);
      return SessionPtr(session);
    }
    SessionPtr taken = std::move(place->session);
    drop(place);
    if (usable) return taken;
  }
}

void TlsTickets::forget(const TicketKey& key) {
  auto found = places_.find(key);
  while (found != places_.end()) {
    drop(found->second.at[0]);
    found = places_.find(key);
  }
}

}  // namespace sluice
