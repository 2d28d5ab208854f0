#include "engine/converse/step.h"

#include <array>
#include <cstddef>

namespace sluice {
namespace {

struct StepRow {
  const char* name;
  Duration SmtpTimeouts::*timeout;
};

// In the order of Step.
constexpr std::array<StepRow, kSteps> kStepRows = {{
    {"connect", &SmtpTimeouts::connect},
    {"banner", &SmtpTimeouts::banner},
    {"EHLO", &SmtpTimeouts::ehlo},
    {"HELO", &SmtpTimeouts::ehlo},
    {"STARTTLS", &SmtpTimeouts::starttls},
    {"MAIL", &SmtpTimeouts::mail_from},
    {"RCPT", &SmtpTimeouts::rcpt_to},
    {"DATA", &SmtpTimeouts::data},
    {".", &SmtpTimeouts::data_dot},
    {"BDAT", &SmtpTimeouts::data_dot},
    {"RSET", &SmtpTimeouts::rset},
    {"BDAT", &SmtpTimeouts::rset},
    {"NOOP", &SmtpTimeouts::rset},
    {"QUIT", &SmtpTimeouts::quit},
}};

}  // namespace

const char* name_of(Step step) { return kStepRows[static_cast<size_t>(step)].name; }

Duration timeout_of(Step step, const SmtpTimeouts& timeouts) {
  return timeouts.*kStepRows[static_cast<size_t>(step)].timeout;
}

}  // namespace sluice
