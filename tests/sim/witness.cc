#include "tests/sim/witness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "engine/record/format.h"
#include "engine/spool/job_directory.h"

namespace sluice::sim {
namespace {

constexpr Duration kTick = std::chrono::seconds(2);
constexpr uint16_t kForGood = 500;

std::string domain_of(const std::string& address) { return address.substr(address.rfind('@') + 1); }

std::string header_of(const std::string& content, const std::string& name) {
  const size_t at = content.find(name + ": ");
  if (at == std::string::npos) return {};
  const size_t begin = at + name.size() + 2;
  return content.substr(begin, content.find("\r\n", begin) - begin);
}

std::string_view body_of(std::string_view content) {
  return content.substr(std::min(content.find("\r\n\r\n"), content.size()));
}

// Decoded from quoted-printable.
std::string decoded(std::string_view content) {
  std::string out;
  for (size_t at = 0; at < content.size(); ++at) {
    if (content[at] != '=' || at + 2 >= content.size()) {
      out += content[at];
      continue;
    }
    const std::string octet(content.substr(at + 1, 2));
    if (octet != "\r\n") out += static_cast<char>(std::stoi(octet, nullptr, 16));
    at += 2;
  }
  return out;
}

}  // namespace

Witness::Witness(World& world, const Network& network, std::string spool, uint64_t seed)
    : world_(world),
      spool_(std::move(spool)),
      seed_(seed),
      book_(network, allowed.limits),
      tls_(allowed.tls) {}

void Witness::violate(int invariant, const std::string& what) {
  if (std::exchange(broken_, true)) return;
  world_.note("invariant " + std::to_string(invariant) + ": " + what);
  ADD_FAILURE() << "invariant " << invariant << ", seed " << seed_ << ", "
                << world_.age().count() / 1'000'000 << " ms: " << what;
}

std::string Witness::words(const Line& line) const {
  return "connection " + std::to_string(line.number) + " from " + to_string(line.from.ip) + " to " +
         to_string(line.to.ip);
}

// --- the engine's counts -------------------------------------------------------------------------

void Witness::expect_job(const std::string& name, int64_t rows,
                         const std::vector<std::string>& good) {
  rows_of_job_[name] = rows;
  least_needed_.clear();
  for (const std::string& recipient : good) recipients_[recipient].job = name;
}

void Witness::on_start() {
  taken_so_far_.clear();
  sender_bounces_.clear();
  drain_ends_ = {};
}

void Witness::on_step(const std::vector<JobStatus>& jobs) {
  for (const JobStatus& job : jobs) {
    if (job.phase != "failed") check_counts(job);
  }
}

void Witness::check_counts(const JobStatus& job) {
  const int64_t total = job.counts.total();
  int64_t least = 0;
  for (const int64_t count : job.counts.states) least = std::min(least, count);
  const auto rows = rows_of_job_.find(job.name);
  int64_t& so_far = taken_so_far_[job.id];
  const bool whole = job.phase == "sending" || job.phase == "done";
  const bool fits =
      rows != rows_of_job_.end() && total <= rows->second && (!whole || total == rows->second);
  if (least < 0 || total < so_far || !fits) {
    violate(1, "job " + job.id + " in phase " + job.phase + " counts " + std::to_string(total) +
                   " rows after " + std::to_string(so_far) + ", least count " +
                   std::to_string(least));
  }
  so_far = std::max(so_far, total);
  std::map<State, int64_t>& durable = durable_[job.id];
  for (const State state : {State::kDelivered, State::kBounced, State::kExpired}) {
    if (job.counts[state] <= durable[state]) continue;
    violate(2, "job " + job.id + " shows " + std::to_string(job.counts[state]) + " rows as " +
                   std::string(name_of(state)) + ", durable are " + std::to_string(durable[state]));
  }
}

// --- what is durable -----------------------------------------------------------------------------

void Witness::on_synced(const Disk& disk, const std::string& path) {
  const size_t slash = path.rfind('/');
  if (path.substr(0, slash) != SpoolPaths(spool_).journal) return;
  read_journal(disk, path.substr(slash + 1), false);
}

void Witness::on_end(const Disk& left) {
  drain_ends_ = {};
  readers_.clear();
  if (const NodePtr journal = left.find(SpoolPaths(spool_).journal)) {
    for (const auto& [name, file] : journal->names) read_journal(left, name, true);
  }
}

void Witness::on_crash(const Disk& left) {
  on_end(left);
  for (auto& [address, recipient] : recipients_) {
    if (!recipient.is_final) ++recipient.excuses;
  }
}

void Witness::on_drain(Duration timeout) { drain_ends_ = world_.wall_now() + timeout; }

void Witness::read_journal(const Disk& disk, const std::string& name, bool is_whole) {
  const NodePtr file = disk.find(SpoolPaths(spool_).journal + "/" + name);
  if (!file || !parse_journal_file_name(name)) return;
  size_t& known = journals_[name];
  // Verdicts that are known already are passed by: of whole files, and of one that goes on.
  size_t passed = 0;
  JournalReader whole(name);
  JournalReader* reader = &whole;
  if (!is_whole) {
    const auto [growing, fresh] = readers_.try_emplace(name, name);
    reader = &growing->second;
    if (!fresh) passed = known;
  }
  auto entries = reader->read(file->durable, is_whole);
  if (!entries) return violate(2, "what is durable of " + name + " is no journal");
  for (auto& [key, entry] : *entries) {
    if (broken_) return;
    if (++passed <= known) continue;
    known = passed;
    if (addresses_.count(key) == 0) read_addresses(disk, spool_, addresses_);
    entry.recipient = addresses_[key];
    learn(key, std::move(entry));
  }
}

void Witness::learn(const RowKey& key, LedgerEntry entry) {
  Recipient& recipient = recipients_[entry.recipient];
  if (recipient.is_final) {
    return violate(1, entry.recipient + " was final and gets another verdict: " +
                          std::string(name_of(entry.state)));
  }
  const bool fits = entry.session != 0 ? entry.attempts == recipient.attempts + 1
                                       : entry.attempts <= recipient.attempts + 1;
  if (!fits) {
    violate(2, entry.recipient + ": attempt " + std::to_string(entry.attempts) +
                   " is recorded behind attempt " + std::to_string(recipient.attempts));
  }
  recipient.attempts = std::max(recipient.attempts, entry.attempts);
  if (entry.maybe_delivered) ++recipient.maybe;
  if (drain_ends_ != WallTime{} && entry.at + std::chrono::milliseconds(1) < drain_ends_ &&
      entry.text.find("ended by the sender") != std::string::npos) {
    violate(11, entry.recipient + " was cut off in flight before the drain's deadline");
  }
  if (entry.state == State::kDeferred) {
    if (entry.next_at - entry.first_at > allowed.lifetime + kTick) {
      violate(7, entry.recipient + ": its next attempt is planned past its lifetime");
    }
  } else {
    check_final(entry, recipient);
    recipient.is_final = true;
    ++durable_[std::get<0>(key)][entry.state];
  }
  recipient.entries.push_back(std::move(entry));
}

void Witness::check_final(const LedgerEntry& entry, const Recipient& recipient) {
  if (entry.state == State::kDelivered && recipient.taken == 0) {
    violate(2, entry.recipient + " is recorded as delivered and was never taken");
  }
  if (entry.state == State::kBounced) check_bounce(entry, recipient);
}

void Witness::check_bounce(const LedgerEntry& entry, const Recipient& recipient) {
  const std::string& who = entry.recipient;
  const IpAddress& exchanger = entry.peer;
  if (entry.code == 0) {
    if (allowed.bounced_by_dns.count(domain_of(who)) == 0) {
      violate(1, who + " bounced without a reply: " + entry.text);
    }
  } else if (entry.code < kForGood) {
    violate(1, who + " bounced by a reply that is not for good: " + std::to_string(entry.code));
  } else if (entry.command == "MAIL") {
    if (refused_sender_.count(exchanger) == 0) {
      violate(1, who + " bounced, and " + to_string(exchanger) + " refused no sender for good");
    }
    const auto source = allowed.sources.find(entry.source + ".sim");
    const Pair pair{source == allowed.sources.end() ? IpAddress() : source->second, exchanger};
    if (allowed.sender_bounces != 0 && ++sender_bounces_[pair] > allowed.sender_bounces) {
      violate(1, who + " bounced: the refused sender takes the whole list with it");
    }
  } else if (!recipient.refused) {
    violate(1, who + " bounced, and no receiver refused it for good: " + entry.command + " " +
                   std::to_string(entry.code) + " " + entry.text);
  }
}

// --- what receivers see --------------------------------------------------------------------------

void Witness::check_limit(const Line& line, const std::optional<std::string>& wrong) {
  if (wrong) violate(3, words(line) + ": " + *wrong);
}

void Witness::on_dial(const Line& line) { check_limit(line, book_.on_dial(line, world_.now())); }

void Witness::on_line(const Line& line) { check_limit(line, book_.on_line(line)); }

void Witness::on_hello(const Line& line, const std::string& name) {
  if (allowed.sources.empty()) return;
  const auto source = allowed.sources.find(name);
  if (source == allowed.sources.end() || source->second != line.from.ip) {
    violate(3, words(line) + " calls itself " + name + ", which has another address");
  }
}

void Witness::check_tls(const Line& line, const std::optional<std::string>& wrong) {
  if (wrong) violate(9, words(line) + ": " + *wrong);
}

TlsPolicy Witness::tls_needed(const std::string& who) const {
  const auto known = recipients_.find(who);
  return allowed.tls.of(domain_of(who), known == recipients_.end() ? "" : known->second.job);
}

TlsPolicy Witness::least_needed(const IpAddress& exchanger) {
  const auto [found, fresh] = least_needed_.try_emplace(exchanger, TlsPolicy::kVerified);
  if (!fresh) return found->second;
  for (const auto& [who, recipient] : recipients_) {
    const auto hosts = allowed.exchangers.find(domain_of(who));
    if (hosts != allowed.exchangers.end() && hosts->second.count(exchanger) == 0) continue;
    found->second = weaker(found->second, tls_needed(who));
  }
  return found->second;
}

void Witness::on_encrypted(const Line& line, const Certificate& certificate) {
  check_tls(line, tls_.on_encrypted(line, certificate));
}

void Witness::on_command_within_tls(const Line& line) { check_tls(line, tls_.on_command(line)); }

void Witness::on_mail(const Line& line, uint16_t code, uint32_t accepted_before) {
  check_tls(line, tls_.on_mail(line, least_needed(line.to.ip)));
  if (code >= kForGood) refused_sender_.insert(line.to.ip);
  if (code < 300 && allowed.messages_per_line != 0 &&
      accepted_before >= allowed.messages_per_line) {
    violate(3, words(line) + " carries message " + std::to_string(accepted_before + 1));
  }
  check_limit(line, book_.on_message(line, world_.now()));
}

void Witness::on_nested_mail(const Line& line) {
  violate(8, words(line) + ": MAIL while another recipient's transaction is open");
}

void Witness::on_recipient(const Line& line, const std::string& who, uint16_t code) {
  const auto known = recipients_.find(who);
  if (known == recipients_.end()) return violate(8, words(line) + ": nobody asked for " + who);
  Recipient& recipient = known->second;
  if (code >= kForGood) recipient.refused = true;
  check_tls(line, tls_.on_mail(line, tls_needed(who)));
  check_limit(line, book_.on_row(recipient.job, world_.now()));
  const auto hosts = allowed.exchangers.find(domain_of(who));
  if (hosts != allowed.exchangers.end() && hosts->second.count(line.to.ip) == 0) {
    violate(8, words(line) + ": mail for " + who + ", whose exchanger this is not");
  }
  if (recipient.entries.empty()) return;
  const LedgerEntry& last = recipient.entries.back();
  // What was in flight when the sender gave the line up is read all the same.
  if (line.ends[0].closed || line.ends[0].reset || line.ends[0].finished) return;
  // What waits for DNS goes on when DNS does.
  if (last.state == State::kDeferred && last.session != 0 &&
      world_.wall_now() + kTick < last.next_at) {
    violate(2, who + " is tried again before it is due");
  }
}

void Witness::on_content_refused(const std::string& who, uint16_t code) {
  if (code >= kForGood) recipients_[who].refused = true;
}

void Witness::on_taken(const Line& line, const std::vector<std::string>& recipients,
                       const std::string& content) {
  for (const std::string& who : recipients) {
    check_tls(line, tls_.on_mail(line, tls_needed(who)));
    check_content(who, content);
    Recipient& recipient = recipients_[who];
    ++recipient.taken;
    const bool sure = recipient.is_final && !recipient.entries.back().maybe_delivered &&
                      recipient.entries.back().state != State::kExpired;
    if (sure) violate(2, who + " was durably final and gets the mail again");
    if (recipient.taken > 1 + recipient.maybe + recipient.excuses) {
      violate(2, who + " gets the mail for the " + std::to_string(recipient.taken) + ". time, on " +
                     words(line) + "; the record has " + std::to_string(recipient.maybe) +
                     " maybe");
    }
  }
}

void Witness::check_content(const std::string& who, const std::string& content) {
  if (header_of(content, "X-Recipient") != who ||
      decoded(body_of(content)).find("this is for " + who) == std::string::npos) {
    violate(8, who + " gets another's message: " + content);
  }
  const std::string id = header_of(content, "Message-ID");
  Recipient& recipient = recipients_[who];
  if (recipient.message_id.empty()) recipient.message_id = id;
  if (recipient.message_id != id) {
    violate(2, who + ": the same mail has another Message-ID: " + id);
  }
  const auto [owner, fresh] = whose_id_.emplace(id, who);
  if (!fresh && owner->second != who) violate(8, who + " has the Message-ID of " + owner->second);
}

// --- at the end ----------------------------------------------------------------------------------

uint32_t Witness::times_taken(const std::string& recipient) const {
  const auto found = recipients_.find(recipient);
  return found == recipients_.end() ? 0 : found->second.taken;
}

void Witness::check_events(const Disk& disk, const std::string& directory) {
  std::set<std::string> told;
  const NodePtr record = disk.find(directory);
  if (record) {
    for (const auto& [name, file] : record->names) told.merge(events_in(file->octets));
  }
  for (const auto& [who, recipient] : recipients_) {
    for (const LedgerEntry& entry : recipient.entries) {
      if (told.count(event_key(entry)) != 0) continue;
      violate(2, "no event tells that " + who + " was " + std::string(name_of(entry.state)) +
                     " at attempt " + std::to_string(entry.attempts));
    }
  }
}

}  // namespace sluice::sim
