// The error policy: what a reply, or a fault instead of one, means. In this one place.
//
// PURPOSE. Two tables: (step, reply) -> Ruling, and fault -> Verdict. The dialog asks them and
// decides nothing itself; whoever dials asks judge_fault() for a connection that never came up.
//
// THE RULES, in short (RFC 5321 §4.2.1, §4.3.2; RFC 3463): only a 2xx to the end of the content
// delivers; 5xx bounces, 4xx defers; 5xx to MAIL and x.7.x anywhere speak of us, not of the
// recipient (Scope::kSource); 421 ends the connection wherever it comes; a reply that its step
// cannot have means that replies no longer belong to their commands, and then nobody bounces.
//
// OWNERSHIP, THREAD, ERRORS. Pure functions over constants; any thread; no errors.
//
// BUGS. 530 defers: the cure is TLS, at the next attempt.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/converse/step.h"
#include "engine/model/outcome.h"

namespace sluice {

// What a reply leads to.
enum class Ruling : uint8_t {
  kProceed,           // the answer that its step hopes for; to the dot: delivered
  kFallBack,          // EHLO is not known here: say HELO
  kIgnore,            // fits, and adds nothing: the transaction was refused before
  kRefuse,            // this transaction fails with `state` and `scope`; the connection goes on
  kRefuseAndClose,    // the same, and the connection is over (421 and its like)
  kRefuseParameters,  // as kRefuse, but once more without SIZE= if MAIL had it
  kNoTls,             // STARTTLS is refused: who needs no TLS goes on in clear
  kSessionFailure,    // before the first transaction: this exchanger takes no mail now
  kDesynchronised,    // a reply that its step cannot have
};

struct Judgement {
  Ruling ruling = Ruling::kProceed;
  State state = State::kWaiting;  // kBounced or kDeferred of a refusal or failure
  Scope scope = Scope::kRecipient;
};

// `refused_before`: MAIL or RCPT of the same transaction was refused already. REQUIRES: `step` is
// not kConnect, `reply.code` is 200 to 599.
Judgement judge(Step step, const Reply& reply, bool refused_before);

// What can happen instead of a reply.
enum class Fault : uint8_t {
  kConnectRefused,  // no connection: refused, or the network says no
  kTimedOut,        // no connection, no reply, or no progress, in time
  kReset,           // the connection broke
  kClosed,          // the receiver ended its stream
  kTlsBroken,       // an alert, or what came is no TLS
  kProtocolError,   // what came is no reply
  kDesynchronised,  // a reply that its command cannot have, or without a command
  kStopped,         // we end the connection ourselves, without waiting
};

// "connection reset" and so on: a literal.
std::string_view name_of(Fault fault);

// The enhanced code of a message, or a session, that `fault` ended: 4.4.1, 4.4.2, 4.7.5 or
// 4.5.0.
EnhancedCode enhanced_of(Fault fault);

// Writes the verdict of a fault that came while the reply to `step` was due: deferred, code 0, the
// enhanced code, and the fault's name as text. The scope is kExchanger up to the reply to EHLO,
// HELO or STARTTLS, then kConnection. Reuses the text's memory.
void judge_fault(Step step, Fault fault, Verdict& verdict);

}  // namespace sluice
