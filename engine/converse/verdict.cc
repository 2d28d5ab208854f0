#include "engine/converse/verdict.h"

#include <array>
#include <cstddef>

#include "engine/base/check.h"
#include "engine/base/defect.h"

namespace sluice {
namespace {

using Steps = uint32_t;
constexpr Steps bit(Step step) { return Steps{1} << static_cast<unsigned>(step); }

constexpr Steps kAny = ~Steps{0};
constexpr Steps kBanner = bit(Step::kBanner);
constexpr Steps kEhlo = bit(Step::kEhlo);
constexpr Steps kHelo = bit(Step::kHelo);
constexpr Steps kStartTls = bit(Step::kStartTls);
constexpr Steps kSession = kBanner | kEhlo | kHelo | kStartTls;
constexpr Steps kMail = bit(Step::kMail);
constexpr Steps kRcpt = bit(Step::kRcpt);
constexpr Steps kData = bit(Step::kData);
constexpr Steps kDot = bit(Step::kDot);
constexpr Steps kBdat = bit(Step::kBdat);
constexpr Steps kRset = bit(Step::kRset);
constexpr Steps kProbe = bit(Step::kProbe);
constexpr Steps kNoop = bit(Step::kNoop);
constexpr Steps kQuit = bit(Step::kQuit);

struct Row {
  Steps steps;
  uint16_t from, to;  // codes, both included
  Judgement judgement;
};

constexpr Judgement kGoOn = {Ruling::kProceed, State::kWaiting, Scope::kRecipient};
constexpr Judgement kFits = {Ruling::kIgnore, State::kWaiting, Scope::kRecipient};
constexpr Judgement kFallBack = {Ruling::kFallBack, State::kWaiting, Scope::kRecipient};
constexpr Judgement kNoTls = {Ruling::kNoTls, State::kDeferred, Scope::kExchanger};
constexpr Judgement kNoSession = {Ruling::kSessionFailure, State::kDeferred, Scope::kExchanger};
constexpr Judgement kOver = {Ruling::kRefuseAndClose, State::kDeferred, Scope::kConnection};
constexpr Judgement kMisfit = {Ruling::kDesynchronised, State::kDeferred, Scope::kConnection};
constexpr Judgement kUnwanted = {Ruling::kRefuseAndClose, State::kDeferred, Scope::kSource};

constexpr Judgement kPlainer = {Ruling::kRefuseParameters, State::kBounced, Scope::kSource};

constexpr Judgement defer(Scope scope) { return {Ruling::kRefuse, State::kDeferred, scope}; }
constexpr Judgement bounce(Scope scope) { return {Ruling::kRefuse, State::kBounced, scope}; }

// The first row that fits holds; what no row fits is a misfit.
constexpr Row kRows[] = {
    {kQuit, 200, 599, kGoOn},  // nobody cares
    {kSession, 421, 421, kNoSession},
    {kAny, 421, 421, kOver},

    {kStartTls, 220, 220, kGoOn},
    {kStartTls, 400, 599, kNoTls},
    {kStartTls, 200, 399, kMisfit},
    {kBanner, 200, 299, kGoOn},
    {kEhlo | kHelo, 250, 250, kGoOn},
    {kEhlo, 500, 599, kFallBack},
    {kSession, 400, 599, kNoSession},

    {kRset, 250, 250, kGoOn},

    {kMail, 200, 299, kGoOn},
    {kMail, 400, 499, defer(Scope::kSource)},
    {kMail, 500, 500, kMisfit},
    {kMail, 501, 501, kPlainer},
    {kMail, 502, 502, kMisfit},
    {kMail, 503, 503, kUnwanted},  // every MAIL stands alone: nothing can be out of sequence
    {kMail, 504, 504, kPlainer},
    {kMail, 530, 530, defer(Scope::kSource)},
    {kMail, 555, 555, kPlainer},
    {kMail, 500, 599, bounce(Scope::kSource)},

    {kRcpt, 200, 299, kGoOn},
    {kRcpt, 400, 499, defer(Scope::kRecipient)},
    {kRcpt, 500, 500, kMisfit},
    {kRcpt, 502, 503, kMisfit},  // 503 fits only behind a refusal
    {kRcpt, 530, 530, defer(Scope::kSource)},
    {kRcpt, 500, 599, bounce(Scope::kRecipient)},

    {kData, 300, 399, kGoOn},
    {kData, 400, 499, defer(Scope::kMessage)},
    {kData, 500, 503, kMisfit},  // DATA is known everywhere, and has no parameters
    {kData, 530, 530, defer(Scope::kSource)},
    {kData, 500, 599, bounce(Scope::kMessage)},

    {kDot, 200, 299, kGoOn},
    {kDot, 400, 499, defer(Scope::kMessage)},
    {kDot, 500, 599, bounce(Scope::kMessage)},

    {kBdat, 200, 299, kGoOn},
    {kBdat, 400, 499, defer(Scope::kMessage)},
    {kBdat, 500, 503, kMisfit},  // it is offered, and the envelope was accepted
    {kBdat, 530, 530, defer(Scope::kSource)},
    {kBdat, 500, 599, bounce(Scope::kMessage)},

    {kProbe, 500, 599, kGoOn},  // what a good server says to a chunk without a transaction
    {kNoop, 200, 299, kGoOn},
};

// Behind a refusal in the same transaction. DATA may say 354 all the same: a lone dot follows. A
// chunk has nobody to go to, and must be refused.
constexpr Row kRowsBehindRefusal[] = {
    {kAny, 421, 421, kOver},
    {kRcpt | kDot, 200, 299, kFits},
    {kRcpt | kData | kDot | kBdat, 400, 599, kFits},
    {kData, 300, 399, kGoOn},
};

template <size_t kSize>
Judgement look_up(const Row (&rows)[kSize], Step step, uint16_t code) {
  for (const Row& row : rows) {
    if ((row.steps & bit(step)) != 0 && code >= row.from && code <= row.to) return row.judgement;
  }
  return kMisfit;
}

struct FaultRow {
  std::string_view name;
  EnhancedCode enhanced;
};

// In the order of Fault.
constexpr std::array<FaultRow, 8> kFaultRows = {{
    {"connection refused", {4, 4, 1}},
    {"timed out", {4, 4, 2}},
    {"connection reset", {4, 4, 2}},
    {"connection closed by the receiver", {4, 4, 2}},
    {"the TLS session broke", {4, 7, 5}},
    {"protocol error", {4, 5, 0}},
    {"replies do not belong to their commands", {4, 5, 0}},
    {"connection ended by the sender", {4, 4, 2}},
}};

}  // namespace

Judgement judge(Step step, const Reply& reply, bool refused_before) {
  CHECK(step != Step::kConnect);
  Judgement judgement = refused_before ? look_up(kRowsBehindRefusal, step, reply.code)
                                       : look_up(kRows, step, reply.code);
  if (defect(Defect::kBounceDeferral) && judgement.ruling == Ruling::kRefuse) {
    judgement.state = State::kBounced;
  }
  // X.7.X is security or policy: about who sends (RFC 3463 §3.8).
  if (judgement.state == State::kBounced && reply.enhanced.present() &&
      reply.enhanced.subject == 7) {
    judgement.scope = Scope::kSource;
  }
  return judgement;
}

std::string_view name_of(Fault fault) { return kFaultRows[static_cast<size_t>(fault)].name; }

EnhancedCode enhanced_of(Fault fault) { return kFaultRows[static_cast<size_t>(fault)].enhanced; }

void judge_fault(Step step, Fault fault, Verdict& verdict) {
  verdict.state = State::kDeferred;
  verdict.scope = step <= Step::kStartTls ? Scope::kExchanger : Scope::kConnection;
  verdict.reply.code = 0;
  verdict.reply.enhanced = step == Step::kConnect && fault == Fault::kTimedOut
                               ? EnhancedCode{4, 4, 1}
                               : enhanced_of(fault);
  verdict.reply.text.assign(name_of(fault));
  verdict.command = name_of(step);
  verdict.maybe_delivered = false;
}

}  // namespace sluice
