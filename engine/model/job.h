// A job as job.toml describes it, checked and typed. Immutable once a job is taken.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/time.h"
#include "engine/model/policy.h"

namespace sluice {

// File names are relative to the job's directory and checked to stay inside it.
struct JobSpec {
  std::string name;
  std::string from;     // header template, may hold {{fields}}
  std::string subject;  // header template; empty only with `eml`
  std::string reply_to;
  std::string envelope_sender;  // address only; empty: the address of `from`
  bool verp = false;            // each recipient has an envelope sender of its own

  // One-click unsubscribe (RFC 8058); both empty: none.
  struct Unsubscribe {
    std::string url;     // https, may hold {{fields}}
    std::string mailto;  // an address
  } unsubscribe;

  struct Message {
    std::string text;  // file names; either eml or at least one of text and html
    std::string html;
    std::string eml;
    std::vector<std::string> attachments;
    bool text_from_html = false;  // the text part is made from the HTML
  } message;

  struct List {
    std::string file;
    std::string address = "email";  // the column or key
    bool dedupe = false;
  } list;

  std::vector<std::pair<std::string, std::string>> headers;  // name, value template; file's order

  struct Send {
    std::string pool = "default";
    uint8_t priority = 5;  // 0 first ... 9 last
    std::optional<WallTime> start;
    Duration lifetime = std::chrono::hours(72);
    std::optional<Rate> rate;
  } send;

  TlsPolicy tls = TlsPolicy::kNone;  // at least this
};

}  // namespace sluice
