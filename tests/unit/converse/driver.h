// Drives a Dialog as a delivery does, with everything visible as text.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/strings.h"
#include "engine/converse/dialog.h"

namespace sluice {

inline const char* name_of(Scope scope) {
  static constexpr const char* kNames[] = {"recipient", "message", "connection",
                                           "exchanger", "site",    "source"};
  return kNames[static_cast<size_t>(scope)];
}

// "bounced recipient 550 5.1.1 RCPT", " maybe" behind it where it may have been delivered.
inline std::string describe(const Verdict& verdict) {
  std::string out = std::string(name_of(verdict.state)) + " " + name_of(verdict.scope) + " " +
                    std::to_string(verdict.reply.code);
  if (verdict.reply.enhanced.present()) out += " " + to_string(verdict.reply.enhanced);
  if (*verdict.command != '\0') out += std::string(" ") + verdict.command;
  if (verdict.maybe_delivered) out += " maybe";
  return out;
}

inline DialogOptions options_for_tests() {
  DialogOptions options;
  options.hello = "me.example";
  return options;
}

// Has mail waiting, and does what the manual page of dialog.h says after every event.
class Driver {
 public:
  explicit Driver(const DialogOptions& options) : dialog(options) { work(); }

  Dialog dialog;
  std::deque<Envelope> mail;          // not taken yet; tickets count from 1
  std::string output;                 // since the last time it was cleared
  std::vector<std::string> verdicts;  // "1 delivered ..."
  std::optional<DialogDepth> depth;   // to be set as soon as it is ready
  bool hold_sends = false;            // sends stay under way until send_done()
  size_t under_way = 0;

  void add_mail(size_t count) {
    for (size_t i = 0; i < count; ++i) mail.push_back({"s@x", "r@y", 0, false, false});
  }

  void says(std::string_view bytes, bool octet_by_octet) {
    if (!octet_by_octet) {
      dialog.receive(bytes);
      work();
      return;
    }
    for (const char& octet : bytes) {
      dialog.receive({&octet, 1});
      work();
    }
  }
  void fails(Fault fault) {
    dialog.fail(fault);
    work();
  }
  void send_done() {
    dialog.sent(under_way);
    under_way = 0;
    work();
  }

  void work() {
    collect();
    if (depth && dialog.ready() && !dialog.finished()) {
      dialog.set_depth(*depth);
      depth.reset();
    }
    while (!mail.empty() && dialog.wants_message()) {
      dialog.take(++ticket_, mail.front());
      mail.pop_front();
      collect();
    }
    Dialog::Output pieces[3];
    while (const size_t count = dialog.gather(pieces)) {
      for (size_t i = 0; i < count; ++i) write(pieces[i]);
      if (hold_sends) {
        under_way += count;
      } else {
        dialog.sent(count);
      }
    }
  }

 private:
  void collect() {
    while (const DialogVerdict* verdict = dialog.next_verdict()) {
      verdicts.push_back(std::to_string(verdict->ticket) + " " + describe(verdict->verdict));
    }
  }
  void write(const Dialog::Output& piece) {
    if (piece.kind == Dialog::Output::Kind::kContent) {
      output += "[content " + std::to_string(piece.ticket) + "]\r\n";
    } else {
      output += piece.bytes;
    }
  }

  uint64_t ticket_ = 0;
};

}  // namespace sluice
