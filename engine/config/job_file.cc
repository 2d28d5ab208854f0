#include "engine/config/job_file.h"

#include <algorithm>

#include "engine/base/strings.h"
#include "engine/config/checks.h"
#include "engine/config/section.h"
#include "engine/config/tls_section.h"
#include "engine/config/token_sections.h"

namespace sluice {
namespace {

using namespace config;  // NOLINT(google-build-using-namespace): this room's own inner names

using std::chrono::hours;
using std::chrono::seconds;

// Fields that the message gets anyway; RFC 5322 §3.6 allows one of each.
struct TakenHeader {
  std::string_view name;
  std::string_view instead;
};
constexpr TakenHeader kTakenHeaders[] = {
    {"from", "set the key from of the job instead"},
    {"subject", "set the key subject of the job instead"},
    {"reply-to", "set the key reply_to of the job instead"},
    {"date", "Sluice writes it; remove it"},
    {"message-id", "Sluice writes it; remove it"},
    {"mime-version", "Sluice writes it; remove it"},
    {"content-type", "Sluice writes it; remove it"},
    {"content-transfer-encoding", "Sluice writes it; remove it"},
    {"return-path", "the receiver writes it; set envelope_sender instead"},
    {"bcc", "each recipient gets a message of their own; remove it"},
};

// RFC 5322 §2.2: printable ASCII but the colon.
bool is_field_name(std::string_view name) {
  return !name.empty() && name.size() <= 76 && std::all_of(name.begin(), name.end(), [](char c) {
    return c > ' ' && c < 0x7F && c != ':';
  });
}

void require(Section& section, std::string_view key, std::string_view example) {
  if (section.find(key) != nullptr) return;
  section.problems().add(section.place(), section.name_of(key) + " is missing; add " +
                                              std::string(key) + " = " + std::string(example));
}

// What Sluice itself writes into a job's directory.
constexpr std::string_view kOwnNames[] = {"job.toml",     "segments",  "progress", "rejected.csv",
                                          "summary.json", "error.txt", "outcomes"};

bool is_own_name(std::string_view path) {
  const std::string_view first = path.substr(0, path.find('/'));
  return std::find(std::begin(kOwnNames), std::end(kOwnNames), first) != std::end(kOwnNames);
}

void read_path(Section& section, std::string_view key, std::string& out) {
  if (!section.text(key, out)) return;
  if (is_own_name(out)) {
    section.error(
        key, "= " + quote(out) + " is a name that Sluice gives to a file of its own; rename yours");
    return;
  }
  if (is_inside_path(out)) return;
  section.error(key, "= " + quote(out) +
                         " leaves the job's folder; name a file in it, without \"..\" and "
                         "without \"/\" at either end");
}

void read_identity(Section& root, JobSpec& out) {
  require(root, "name", "\"july-news\"");
  if (root.text("name", out.name) && !is_plain_name(out.name)) {
    root.error("name", "= " + quote(out.name) +
                           " cannot be a job's name; use 1 to 64 letters, digits, \".\", \"_\" or "
                           "\"-\", not beginning with \".\"");
  }
  require(root, "from", "\"Example News <news@example.com>\"");
  root.text("from", out.from);
  root.text("subject", out.subject);
  root.text("reply_to", out.reply_to);
  if (root.text("envelope_sender", out.envelope_sender)) {
    const std::string& sender = out.envelope_sender;
    const size_t at = sender.rfind('@');
    if (at == std::string::npos || at == 0 || at + 1 == sender.size() ||
        sender.find_first_of(" <>{}") != std::string::npos) {
      root.error("envelope_sender", "= " + quote(sender) +
                                        " is not a bare address; write \"bounce@example.com\", "
                                        "without a name and without fields");
    }
  }
  root.flag("verp", out.verp);
}

void read_message(Section& root, JobSpec& out) {
  Section section = root.section("message");
  read_path(section, "text", out.message.text);
  read_path(section, "html", out.message.html);
  read_path(section, "eml", out.message.eml);
  section.flag("text_from_html", out.message.text_from_html);
  std::vector<PlacedText> attachments;
  if (section.texts("attachments", attachments)) {
    for (const PlacedText& file : attachments) {
      if (!is_job_path(file.text)) {
        section.problems().add(file.place, "message.attachments: " + quote(file.text) +
                                               " is no file of the job's folder; name files in "
                                               "it, without \"..\" and \"/\" at either end, and "
                                               "none of Sluice's own");
      }
      out.message.attachments.push_back(file.text);
    }
  }
  section.finish();
  const bool eml = section.find("eml") != nullptr;
  const bool parts = section.find("text") != nullptr || section.find("html") != nullptr;
  if (eml && parts) {
    section.error("eml", "is a whole message; remove it, or remove message.text and message.html");
  } else if (!eml && !parts) {
    section.problems().add(section.place(),
                           "the job has no message; add [message] with text = \"body.txt\", "
                           "html = \"body.html\" or eml = \"message.eml\"");
  }
  if (eml && !out.message.attachments.empty()) {
    section.error("attachments", "do not go with message.eml, a whole message; put them into it");
  }
  if (out.message.text_from_html && (section.find("text") != nullptr || eml)) {
    section.error("text_from_html",
                  "makes the text part from message.html; remove it, or remove message." +
                      std::string(eml ? "eml" : "text"));
  } else if (out.message.text_from_html && section.find("html") == nullptr) {
    section.error("text_from_html", "needs message.html, from which the text part is made");
  }
  if (!eml) require(root, "subject", "\"...\"");
}

void read_list(Section section, JobSpec::List& out) {
  if (!section.present()) {
    section.problems().add(section.place(),
                           "list.file is missing; add [list] with file = \"list.csv\"");
    return;
  }
  require(section, "file", "\"list.csv\"");
  read_path(section, "file", out.file);
  section.text("address", out.address);
  section.flag("dedupe", out.dedupe);
  section.finish();
}

void read_headers(Section section, JobSpec& out) {
  std::vector<std::string> seen;
  for (const auto& [key, place] : section.keys()) {
    std::string value;
    const bool good = section.text(key, value, Empty::kAllowed);
    const std::string name = to_lower(key);
    const auto* taken =
        std::find_if(std::begin(kTakenHeaders), std::end(kTakenHeaders),
                     [&](const TakenHeader& header) { return header.name == name; });
    if (!is_field_name(key)) {
      section.problems().add(place, section.name_of(key) +
                                        " is not a header field's name; use printable ASCII "
                                        "without spaces and colons");
    } else if (taken != std::end(kTakenHeaders)) {
      section.problems().add(place, section.name_of(key) + " stands in every message once; " +
                                        std::string(taken->instead));
    } else if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      section.problems().add(
          place, section.name_of(key) + " is there twice (case does not matter); remove one");
    } else if (good) {
      out.headers.emplace_back(key, std::move(value));
    }
    seen.push_back(name);
  }
}

void read_start(Section& section, std::optional<WallTime>& out) {
  const toml::node* node = section.find("start");
  if (node == nullptr) return;
  const auto* value = node->as_date_time();
  if (value == nullptr) {
    section.error("start", std::string("must be a date and time with an offset") +
                               (node->is_string() ? ", without quotes" : "") +
                               "; write 2026-12-01T08:00:00Z");
    return;
  }
  const toml::date_time& given = value->get();
  if (!given.offset) {
    section.error("start",
                  "has no offset from UTC; write 2026-12-01T08:00:00Z or "
                  "2026-12-01T08:00:00+01:00");
    return;
  }
  if (given.date.year < 1970 || given.date.year > 2200) {
    section.error("start", "must be in a year between 1970 and 2200");
    return;
  }
  const std::chrono::sys_days day = std::chrono::year_month_day(
      std::chrono::year(given.date.year), std::chrono::month(given.date.month),
      std::chrono::day(given.date.day));
  const Duration time_of_day = hours(given.time.hour) + std::chrono::minutes(given.time.minute) +
                               seconds(given.time.second) + Duration(given.time.nanosecond);
  out =
      WallTime(day.time_since_epoch() + time_of_day - std::chrono::minutes(given.offset->minutes));
}

void read_send(Section section, JobSpec::Send& out) {
  if (section.text("pool", out.pool) && !is_plain_name(out.pool)) {
    section.error("pool", "= " + quote(out.pool) + " cannot be a pool's name; name a [[pool]]");
  }
  section.number("priority", out.priority, 0, 9);
  read_start(section, out.start);
  section.duration("lifetime", out.lifetime, seconds(1), hours(24 * 365));
  section.rate("rate", out.rate);
  section.finish();
}

}  // namespace

bool is_job_path(std::string_view path) { return is_inside_path(path) && !is_own_name(path); }

StatusOr<JobSpec> parse_job(std::string_view text, const std::string& file) {
  Problems problems(file);
  JobSpec out;
  const std::optional<toml::table> table = read_document(text, problems);
  if (table) {
    Section root(&*table, "", {1, 1}, problems);
    read_identity(root, out);
    read_message(root, out);
    read_list(root.section("list"), out.list);
    read_headers(root.section("headers"), out);
    read_unsubscribe(root.section("unsubscribe"), out.unsubscribe);
    read_send(root.section("send"), out.send);
    read_job_tls(root.section("tls"), out.tls);
    Section record = root.section("record");
    record.refuse_not_built("meta");
    record.finish();
    root.finish();
  }
  if (!problems.none()) return problems.status(invalid);
  return out;
}

}  // namespace sluice
