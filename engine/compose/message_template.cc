#include "engine/compose/message_template.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/compose/eml.h"
#include "engine/compose/findings.h"
#include "engine/compose/made_message.h"
#include "engine/compose/message_builder.h"
#include "engine/compose/unsubscribe.h"

namespace sluice {
namespace {

// Headers that a job cannot set in [headers], and what sets them.
struct Reserved {
  std::string_view name;
  std::string_view mend;
};
constexpr Reserved kReserved[] = {
    {"From", "set \"from\""},
    {"To", "it is the recipient"},
    {"Subject", "set \"subject\""},
    {"Date", "it is the time of the first attempt"},
    {"Message-ID", "it is made for each recipient"},
    {"MIME-Version", "it is made"},
    {"Bcc", "it would show nothing or too much"},
    {"Resent-Bcc", "it would show nothing or too much"},
    {"Return-Path", "set \"envelope_sender\""},
    {"Received", "receivers add it"},
};

constexpr size_t kLocalPartMax = 64;  // RFC 5321 §4.5.3.1.1

std::string in_job(std::string_view key) { return "job.toml [" + std::string(key) + "]"; }

class Compiler {
 public:
  Compiler(const TemplateInput& input, Octets octets)
      : input_(input),
        octets_(octets),
        spec_(*input.spec),
        fields_(input.columns, input.spec->list.address),
        builder_(fields_, input.job_id) {}

  StatusOr<std::unique_ptr<const CompiledMessage>> run() {
    const bool is_eml = !spec_.message.eml.empty();
    if (is_eml && !spec_.message.attachments.empty()) {
      return invalid("job.toml [message]: \"eml\" is a whole message; put the attachments into it");
    }
    if (is_eml && (!spec_.message.text.empty() || !spec_.message.html.empty())) {
      return invalid(
          "job.toml [message]: \"eml\" is a whole message; remove \"text\" and \"html\"");
    }
    if (!is_eml && spec_.message.text.empty() && spec_.message.html.empty()) {
      return invalid("job.toml [message]: name a \"text\" or \"html\" file, or an \"eml\" file");
    }
    std::optional<ParsedText> eml;
    if (is_eml) {
      ASSIGN_OR_RETURN(eml, parse_eml(spec_.message.eml, input_.eml, input_.partials));
    }
    RETURN_IF_ERROR(take_headers(eml));
    RETURN_IF_ERROR(take_sender());
    if (is_eml) {
      add_findings(*eml, fields_, warnings);
      RETURN_IF_ERROR(add_eml(*eml, std::move(headers_), octets_, builder_));
    } else {
      RETURN_IF_ERROR(add_made_message());
    }
    if (builder_.constant_bytes() > input_.message_bytes_max) {
      return invalid("the message has " + grouped(builder_.constant_bytes()) +
                     " octets without any row's values, and may have " +
                     grouped(input_.message_bytes_max) + "; attach less, or link to what is large");
    }
    return builder_.finish();
  }

  std::vector<std::string> warnings;

 private:
  using HeaderResult = StatusOr<HeaderTemplate>;

  HeaderResult header_of(std::string_view name, std::string_view key, std::string_view text) {
    ASSIGN_OR_RETURN(const ParsedText parsed, parse_mustache(in_job(key), text));
    add_findings(parsed, fields_, warnings);
    return HeaderTemplate::by_name(name, parsed, fields_);
  }

  Status take_headers(const std::optional<ParsedText>& eml) {
    if (!spec_.from.empty()) {
      ASSIGN_OR_RETURN(HeaderTemplate from, header_of("From", "from", spec_.from));
      headers_.from.push_back(std::move(from));
    } else if (!eml.has_value()) {
      return invalid("job.toml: \"from\" is missing");
    }
    // The sender follows what the recipient sees.
    if (headers_.from.empty()) {
      ASSIGN_OR_RETURN(const ParsedText value, from_of_eml(*eml));
      ASSIGN_OR_RETURN(sender_, HeaderTemplate::addresses("From", value, fields_));
    } else {
      sender_ = headers_.from.front();
    }
    if (sender_.mailboxes().size() != 1) {
      return invalid(in_job("from") + ": one address, please; several From addresses fail DMARC");
    }
    if (!spec_.subject.empty()) {
      ASSIGN_OR_RETURN(HeaderTemplate subject, header_of("Subject", "subject", spec_.subject));
      headers_.subject.push_back(std::move(subject));
    } else if (!eml.has_value()) {
      return invalid("job.toml: \"subject\" is missing");
    }
    if (!spec_.reply_to.empty()) {
      ASSIGN_OR_RETURN(HeaderTemplate reply, header_of("Reply-To", "reply_to", spec_.reply_to));
      headers_.reply_to.push_back(std::move(reply));
    }
    return take_extra_headers();
  }

  Status take_extra_headers() {
    for (const auto& [name, text] : spec_.headers) {
      const std::string where = in_job("headers") + " " + escaped(name, 80);
      if (!is_header_name(name)) {
        return invalid(where +
                       ": no name of a header: printable ASCII without \":\" and blanks, "
                       "at most 64 octets");
      }
      for (const Reserved& reserved : kReserved) {
        if (equals_ignore_case(name, reserved.name)) {
          return invalid(where + ": this header cannot be set here; " + std::string(reserved.mend));
        }
      }
      if (starts_with_ignore_case(name, "Content-")) {
        return invalid(where + ": MIME headers are made; they cannot be set here");
      }
      if (equals_ignore_case(name, "Reply-To") && !spec_.reply_to.empty()) {
        return invalid(where + ": \"reply_to\" is set too; keep one of the two");
      }
      for (const auto& earlier : headers_.extra) {
        if (equals_ignore_case(earlier.first, name)) return invalid(where + ": set twice");
      }
      ASSIGN_OR_RETURN(const ParsedText parsed, parse_mustache(where, text));
      add_findings(parsed, fields_, warnings);
      ASSIGN_OR_RETURN(HeaderTemplate header, HeaderTemplate::by_name(name, parsed, fields_));
      headers_.extra.emplace_back(name, std::move(header));
    }
    return take_unsubscribe();
  }

  Status take_unsubscribe() {
    ASSIGN_OR_RETURN(const std::string text, list_unsubscribe(spec_.unsubscribe));
    if (text.empty()) return absl::OkStatus();
    for (const auto& [name, header] : headers_.extra) {
      if (!equals_ignore_case(name, kListUnsubscribe) &&
          !equals_ignore_case(name, kListUnsubscribePost)) {
        continue;
      }
      return invalid(in_job("headers") + " " + name +
                     ": [unsubscribe] makes it; keep one of the two");
    }
    ASSIGN_OR_RETURN(HeaderTemplate header, header_of(kListUnsubscribe, "unsubscribe", text));
    headers_.extra.emplace_back(kListUnsubscribe, std::move(header));
    if (spec_.unsubscribe.url.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(HeaderTemplate post,
                     header_of(kListUnsubscribePost, "unsubscribe", kOneClick));
    headers_.extra.emplace_back(kListUnsubscribePost, std::move(post));
    return absl::OkStatus();
  }

  // Envelope sender, and the domain of Message-ID.
  Status take_sender() {
    const TextTemplate& from = sender_.mailboxes().front().address;
    std::string_view sender = spec_.envelope_sender;
    if (sender.empty()) {
      if (!from.constant()) {
        return invalid(in_job("from") +
                       ": its address holds fields; set \"envelope_sender\" to "
                       "the address that bounces go to");
      }
      sender = from.literals[0];
    } else if (sender == "<>") {
      sender = {};
    } else if (sender.find("{{") != std::string_view::npos) {
      return invalid(in_job("envelope_sender") + ": may not hold fields; write one address");
    } else if (!is_addr_spec(sender)) {
      return invalid(in_job("envelope_sender") + ": \"" + escaped(sender, 80) +
                     "\" is no address; write bounce@example.com, or <> for none");
    }
    RETURN_IF_ERROR(check_verp(sender));
    builder_.set_envelope_sender(sender, spec_.verp ? input_.verp_delimiter : std::string());
    builder_.set_tokens(input_.token_keys);
    std::string_view domain = input_.host.empty() ? std::string_view("localhost") : input_.host;
    const std::string_view whole = from.constant() ? std::string_view(from.literals[0]) : sender;
    if (const size_t at = whole.rfind('@'); at != std::string_view::npos) {
      domain = whole.substr(at + 1);
    }
    builder_.set_message_id_domain(domain);
    take_signing(from);
    return absl::OkStatus();
  }

  Status check_verp(std::string_view sender) const {
    if (!spec_.verp) return absl::OkStatus();
    if (sender.empty()) {
      return invalid(in_job("verp") +
                     ": the null sender cannot name a recipient; set \"envelope_sender\" to an "
                     "address, or remove \"verp\"");
    }
    const size_t room = kLocalPartMax - kTokenChars - input_.verp_delimiter.size();
    if (sender.rfind('@') > room) {
      return invalid(in_job("verp") + ": the local part of " + escaped(sender, 80) +
                     " may have at most " + std::to_string(room) + " of its " +
                     std::to_string(kLocalPartMax) + " octets, the rest is the token's");
    }
    return absl::OkStatus();
  }

  void take_signing(const TextTemplate& from) {
    std::string domain;
    // With fields before the "@" only, the domain is the same for every row.
    if (const size_t at = from.literals.back().rfind('@'); at != std::string::npos) {
      domain = to_lower(from.literals.back().substr(at + 1));
    }
    builder_.set_signing(input_.dkim_keys, domain);
    const std::vector<std::string>& known = input_.signing_domains;
    if (domain.empty() || known.empty()) return;
    if (std::none_of(known.begin(), known.end(), [&domain](const std::string& each) {
          return domain == each || domain.ends_with("." + each);
        })) {
      warnings.push_back(in_job("from") + ": no [[dkim]] signs for " + escaped(domain, 80) +
                         ": its mail leaves unsigned; add a key (sluice dkim-key)");
    }
  }

  Status add_made_message() {
    builder_.add_date();
    builder_.add_message_id();
    builder_.add_header(std::move(headers_.from.front()));
    builder_.add_to();
    builder_.add_header(std::move(headers_.subject.front()));
    for (HeaderTemplate& header : headers_.reply_to) builder_.add_header(std::move(header));
    for (auto& [name, header] : headers_.extra) builder_.add_header(std::move(header));
    return sluice::add_made_message(input_, builder_, warnings);
  }

  const TemplateInput& input_;
  const Octets octets_;
  const JobSpec& spec_;
  const FieldTable fields_;
  MessageBuilder builder_;
  JobHeaders headers_;
  HeaderTemplate sender_;
};

}  // namespace

StatusOr<std::unique_ptr<const MessageTemplate>> MessageTemplate::compile(
    const TemplateInput& input) {
  CHECK(input.spec != nullptr);
  CHECK(input.attachments.size() == input.spec->message.attachments.size());
  Compiler compiler(input, Octets::kEightBit);
  ASSIGN_OR_RETURN(auto message, compiler.run());
  std::unique_ptr<MessageTemplate> made(new MessageTemplate(std::move(message)));
  made->warnings_ = std::move(compiler.warnings);
  if (made->eight_bit()) {
    auto downgraded = Compiler(input, Octets::kSevenBit).run();
    if (downgraded.ok() && !(*downgraded)->eight_bit()) made->downgraded_ = std::move(*downgraded);
  }
  return made;
}

MessageTemplate::MessageTemplate(std::unique_ptr<const CompiledMessage> message)
    : message_(std::move(message)) {}
MessageTemplate::~MessageTemplate() = default;

std::string_view MessageTemplate::envelope_sender(const Row& row, std::string& made) const {
  return message_->envelope_sender(row, made);
}
bool MessageTemplate::has_tokens() const { return message_->has_tokens(); }
bool MessageTemplate::eight_bit() const { return message_->eight_bit(); }
uint64_t MessageTemplate::size_estimate(const Row& row) const {
  const uint64_t size = message_->size_estimate(row);
  return downgraded_ == nullptr ? size : std::max(size, downgraded_->size_estimate(row));
}
ComposeResult MessageTemplate::check(const Row& row) const { return message_->check(row); }
bool MessageTemplate::is_shared() const { return message_->is_shared(); }

ComposeResult MessageTemplate::compose(const Row& row, const MessageContext& context,
                                       MessageBuffer& buffer) const {
  if (context.eight_bit || !message_->eight_bit()) return message_->compose(row, context, buffer);
  if (downgraded_ != nullptr) return downgraded_->compose(row, context, buffer);
  return {{0,
           {5, 6, 3},
           "the receiver does not offer 8BITMIME, and the message cannot be made 7-bit: 8-bit "
           "octets stand in a signed or attached message, or beside its parts"}};
}

}  // namespace sluice
