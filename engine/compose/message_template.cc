#include "engine/compose/message_template.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/digest.h"
#include "engine/base/strings.h"
#include "engine/compose/compiled_message.h"
#include "engine/compose/eml.h"

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

std::string in_job(std::string_view key) { return "job.toml [" + std::string(key) + "]"; }

Status check_utf8(const ParsedText& text) {
  size_t begin = 0;
  while (begin < text.source.size()) {
    size_t end = text.source.find('\n', begin);
    if (end == std::string::npos) end = text.source.size();
    if (!is_utf8(std::string_view(text.source).substr(begin, end - begin))) {
      return invalid(text.position_in_source(begin) +
                     ": this line is not UTF-8; store the file as UTF-8");
    }
    begin = end + 1;
  }
  return absl::OkStatus();
}

class Compiler {
 public:
  explicit Compiler(const TemplateInput& input)
      : input_(input),
        spec_(*input.spec),
        fields_(input.columns, input.spec->list.address),
        builder_(fields_, input.job_id) {}

  StatusOr<std::unique_ptr<const CompiledMessage>> run() {
    const bool is_eml = !spec_.message.eml.empty();
    if (is_eml && (!spec_.message.text.empty() || !spec_.message.html.empty())) {
      return invalid(
          "job.toml [message]: \"eml\" is a whole message; remove \"text\" and \"html\"");
    }
    if (!is_eml && spec_.message.text.empty() && spec_.message.html.empty()) {
      return invalid("job.toml [message]: name a \"text\" or \"html\" file, or an \"eml\" file");
    }
    std::optional<ParsedText> eml;
    if (is_eml) {
      ASSIGN_OR_RETURN(eml, parse_eml(spec_.message.eml, input_.eml));
    }
    RETURN_IF_ERROR(take_headers(eml));
    RETURN_IF_ERROR(take_sender());
    if (is_eml) {
      RETURN_IF_ERROR(add_eml(*eml, std::move(headers_), builder_));
    } else {
      RETURN_IF_ERROR(add_made_message());
    }
    return builder_.finish();
  }

 private:
  using HeaderResult = StatusOr<HeaderTemplate>;

  HeaderResult header_of(std::string_view name, std::string_view key, std::string_view text) {
    ASSIGN_OR_RETURN(const ParsedText parsed, parse_mustache(in_job(key), text));
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
      ASSIGN_OR_RETURN(HeaderTemplate header, HeaderTemplate::by_name(name, parsed, fields_));
      headers_.extra.emplace_back(name, std::move(header));
    }
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
    builder_.set_envelope_sender(sender);
    std::string_view domain = input_.host.empty() ? std::string_view("localhost") : input_.host;
    const std::string_view whole = from.constant() ? std::string_view(from.literals[0]) : sender;
    if (const size_t at = whole.rfind('@'); at != std::string_view::npos) {
      domain = whole.substr(at + 1);
    }
    builder_.set_message_id_domain(domain);
    return absl::OkStatus();
  }

  Status add_made_message() {
    builder_.add_date();
    builder_.add_message_id();
    builder_.add_header(std::move(headers_.from.front()));
    builder_.add_to();
    builder_.add_header(std::move(headers_.subject.front()));
    for (HeaderTemplate& header : headers_.reply_to) builder_.add_header(std::move(header));
    for (auto& [name, header] : headers_.extra) builder_.add_header(std::move(header));
    builder_.add_literal("MIME-Version: 1.0\r\n");
    if (spec_.message.html.empty()) return add_part(spec_.message.text, input_.text, "plain");
    if (spec_.message.text.empty()) return add_part(spec_.message.html, input_.html, "html");
    // "=_" cannot occur in quoted-printable (RFC 2045 §6.7), so no part can hold the boundary.
    const std::string boundary = "=_" + to_hex(sha256(input_.job_id)).substr(0, 32);
    builder_.add_literal("Content-Type: multipart/alternative;\r\n boundary=\"" + boundary +
                         "\"\r\n\r\n--" + boundary + "\r\n");
    RETURN_IF_ERROR(add_part(spec_.message.text, input_.text, "plain"));
    // The line end before a delimiter is the delimiter's (RFC 2046 §5.1.1), not the part's.
    builder_.add_literal("\r\n--" + boundary + "\r\n");
    RETURN_IF_ERROR(add_part(spec_.message.html, input_.html, "html"));
    builder_.add_literal("\r\n--" + boundary + "--\r\n");
    return absl::OkStatus();
  }

  Status add_part(std::string_view file, std::string_view contents, std::string_view subtype) {
    ASSIGN_OR_RETURN(const ParsedText text, parse_mustache(file, contents));
    RETURN_IF_ERROR(check_utf8(text));
    builder_.add_literal("Content-Type: text/" + std::string(subtype) +
                         "; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
    return builder_.add_encoded(text, 0, text.text.size(),
                                subtype == "html" ? Html::kYes : Html::kNo, /*ends_line=*/true);
  }

  const TemplateInput& input_;
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
  ASSIGN_OR_RETURN(auto message, Compiler(input).run());
  return std::unique_ptr<const MessageTemplate>(new MessageTemplate(std::move(message)));
}

MessageTemplate::MessageTemplate(std::unique_ptr<const CompiledMessage> message)
    : message_(std::move(message)) {}
MessageTemplate::~MessageTemplate() = default;

std::string_view MessageTemplate::envelope_sender() const { return message_->envelope_sender(); }
bool MessageTemplate::eight_bit() const { return message_->eight_bit(); }
uint64_t MessageTemplate::size_estimate(const Row& row) const {
  return message_->size_estimate(row);
}
ComposeResult MessageTemplate::check(const Row& row) const { return message_->check(row); }
ComposeResult MessageTemplate::compose(const Row& row, const MessageContext& context,
                                       MessageBuffer& buffer) const {
  return message_->compose(row, context, buffer);
}

}  // namespace sluice
