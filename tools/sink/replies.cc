#include "tools/sink/replies.h"

#include <array>
#include <span>

namespace sluice::sink {
namespace {

// `text` has its lines joined by '\n'; the enhanced code is put before each.
struct KnownReply {
  uint16_t code;
  std::string_view enhanced;  // empty: the provider gives none
  std::string_view commands;  // letters, see kLetters
  std::string_view text;
};

// One for each command of options.h.
constexpr std::string_view kLetters = "cemrd.osh";

constexpr auto kKnown = std::to_array<KnownReply>({
    {550, "5.1.1", "r",
     "The email account that you tried to reach does not exist. Please try\n"
     "double-checking the recipient's email address for typos or\n"
     "unnecessary spaces. For more information, go to\n"
     " https://support.google.com/mail/?p=NoSuchUser a1-20020a05sink - gsmtp"},
    {550, "5.1.10", "r",
     "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"},
    {550, "5.5.0", "r",
     "Requested action not taken: mailbox unavailable (S2017062302). "
     "[AM7EUR03FT012.eop-EUR03.prod.protection.outlook.com 2026-01-01T00:00:00.000Z 08DE]"},
    {554, "", "r.",
     "delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [0]"},
    {552, "5.2.2", "r.",
     "The email account that you tried to reach is over quota.\n"
     "Please direct the recipient to\n"
     " https://support.google.com/mail/?p=OverQuotaPerm a1-20020a05sink - gsmtp"},
    {452, "4.2.2", "r.",
     "The email account that you tried to reach is over quota.\n"
     "Please direct the recipient to\n"
     " https://support.google.com/mail/?p=OverQuotaTemp a1-20020a05sink - gsmtp"},
    {452, "4.5.3", "r",
     "Your message has too many recipients. For more information\n"
     "regarding Google's sending limits, please visit:\n"
     " https://support.google.com/mail/?p=TooManyRecipientsError a1-20020a05sink - gsmtp"},
    {450, "4.2.1", "r.",
     "The user you are trying to contact is receiving mail at a rate that\n"
     "prevents additional messages from being delivered. Please resend your\n"
     "message at a later time. If the user is able to receive mail at that\n"
     "time, your message will be delivered. For more information, please\n"
     "visit  https://support.google.com/mail/?p=ReceivingRate a1-20020a05sink - gsmtp"},
    {450, "4.7.1", "r", "Recipient address rejected: Greylisted, please try again in 300 seconds"},
    {451, "4.7.1", "mr", "Greylisting in action, please come back later"},
    {451, "4.7.650", "mr",
     "The mail server [192.0.2.10] has been temporarily rate limited due to IP reputation. "
     "For e-mail delivery information, see https://postmaster.live.com (S775)"},
    {451, "4.7.500", "mr",
     "Server busy. Please try again later from [192.0.2.10]. (S77719) "
     "[DB5EUR01FT009.eop-EUR01.prod.protection.outlook.com]"},
    {451, "", "m.",
     "Message temporarily deferred due to unresolvable RFC.5321 from domain; see "
     "https://senders.yahooinc.com/error-codes#unresolvable-from-domain"},
    {451, "4.3.0", "d.", "Mail server temporarily rejected message. a1-20020a05sink - gsmtp"},
    {421, "4.7.0", "cemrd.",
     "[192.0.2.10      15] Our system has detected that this message is\n"
     "suspicious due to the nature of the content and/or the links within.\n"
     "To best protect our users from spam, the message has been blocked.\n"
     "Please visit\n"
     " https://support.google.com/mail/answer/188131 for more information.\n"
     "a1-20020a05sink - gsmtp"},
    {421, "4.7.28", "md.",
     "Gmail has detected an unusual rate of unsolicited mail originating\n"
     "from your IP address. To protect our users from spam, mail sent from\n"
     "your IP address has been temporarily rate limited. For more\n"
     "information, go to\n"
     " https://support.google.com/mail/?p=UnsolicitedRateLimitError a1-20020a05sink - gsmtp"},
    {421, "4.7.0", "cm",
     "[TSS04] Messages from 192.0.2.10 temporarily deferred due to unexpected "
     "volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"},
    {421, "4.3.2", "cemrd.", "Service not available, closing transmission channel"},
    {421, "4.4.2", "emrd.", "Connection dropped due to SocketError"},
    {421, "4.7.66", "c", "TLS required for secure server; the server is too busy"},
    {550, "5.7.1", "mrd.",
     "[192.0.2.10      19] Our system has detected that this\n"
     "message is likely unsolicited mail. To reduce the amount of spam sent\n"
     "to Gmail, this message has been blocked. Please visit\n"
     " https://support.google.com/mail/?p=UnsolicitedMessageError\n"
     " for more information. a1-20020a05sink - gsmtp"},
    {550, "5.7.26", ".",
     "This mail has been blocked because the sender is unauthenticated.\n"
     "Gmail requires all senders to authenticate with either SPF or DKIM.\n"
     "\n"
     " Authentication results:\n"
     " DKIM = did not pass\n"
     " SPF [example.com] with ip: [192.0.2.10] = did not pass\n"
     " For instructions on setting up authentication, go to\n"
     " https://support.google.com/mail/answer/81126#authentication a1-20020a05sink - gsmtp"},
    {550, "5.7.1", "cm",
     "Unfortunately, messages from [192.0.2.10] weren't sent. Please contact your Internet "
     "service provider since part of their network is on our block list (S3150). You can also "
     "refer your provider to http://mail.live.com/mail/troubleshooting.aspx#errors."},
    {550, "5.7.606", "r",
     "Access denied, banned sending IP [192.0.2.10]. To request removal from "
     "this list please visit https://sender.office.com/ and follow the directions."},
    {553, "5.7.2", "cm",
     "[TSS09] All messages from 192.0.2.10 will be permanently deferred; "
     "Retrying will NOT succeed. See https://postmaster.yahooinc.com/error-codes"},
    {554, "5.7.1", "rd.", "Message blocked due to spam content in the message."},
    {554, "5.7.9", ".",
     "Message not accepted for policy reasons. See "
     "https://postmaster.yahooinc.com/error-codes"},
    {454, "4.7.0", "s", "TLS not available due to local problem"},
    {552, "5.3.4", "m.",
     "Your message exceeded Google's message size limits. To learn more\n"
     "about message size limits, go to\n"
     " https://support.google.com/mail/?p=MaxSizeError a1-20020a05sink - gsmtp"},
});

void append_lines(std::string& out, uint16_t code, std::string_view enhanced,
                  std::string_view text) {
  const std::string number = std::to_string(code);
  while (true) {
    const size_t end = text.find('\n');
    const bool last = end == std::string_view::npos;
    out += number;
    out += last ? ' ' : '-';
    if (!enhanced.empty()) {
      out += enhanced;
      out += ' ';
    }
    out += text.substr(0, end);
    out += "\r\n";
    if (last) return;
    text.remove_prefix(end + 1);
  }
}

std::string_view plain_enhanced(Command command, bool permanent) {
  switch (command) {
    case Command::kRcpt:
      return permanent ? "5.1.1" : "4.2.1";
    case Command::kMail:
      return permanent ? "5.7.1" : "4.7.1";
    default:
      return permanent ? "5.3.0" : "4.3.0";
  }
}

}  // namespace

void append_fault_reply(std::string& out, Command command, uint16_t code, std::string_view enhanced,
                        uint64_t pick, bool with_enhanced) {
  std::array<const KnownReply*, kKnown.size()> fits{};
  size_t count = 0;
  const char letter = kLetters[static_cast<size_t>(command)];
  for (const KnownReply& known : kKnown) {
    if (known.code != code || known.commands.find(letter) == std::string_view::npos) continue;
    if (!enhanced.empty() && known.enhanced != enhanced) continue;
    fits[count++] = &known;
  }
  if (count > 0) {
    const KnownReply& known = *fits[pick % count];
    append_lines(out, code, with_enhanced ? known.enhanced : std::string_view(), known.text);
    return;
  }
  if (enhanced.empty()) enhanced = plain_enhanced(command, code >= 500);
  append_lines(out, code, with_enhanced ? enhanced : std::string_view(),
               code >= 500 ? "Requested action not taken" : "Requested action aborted: try later");
}

}  // namespace sluice::sink
