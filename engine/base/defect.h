// Deliberate defects: what the tests must find.
//
// Built with SLUICE_DEFECTS (preset `mutants`), the environment variable SLUICE_DEFECT names the
// one that holds for the whole process, and tools/mutants runs the tests for each. Otherwise
// defect() is a constant and nothing of it is left in the program.
// ERRORS. An unknown name aborts. THREAD. Any.
#pragma once

#include <cstdint>

namespace sluice {

// Name, and what goes wrong.
#define SLUICE_DEFECT_LIST(X)                                                       \
  X(SkipSync, "the journal believes what it wrote without a sync")                  \
  X(BelieveEarly, "verdicts are believed before their commit")                      \
  X(RetrySync, "a sync of the journal that failed is asked again, and believed")    \
  X(LoseLastRow, "the last row of a full segment is left out")                      \
  X(SkipLastSegment, "recovery overlooks a job's last segment")                     \
  X(SkipLastJournal, "recovery overlooks the last journal file")                    \
  X(CountTwice, "a committed verdict is counted twice")                             \
  X(ForgetAttempts, "a deferred row goes back without its count of attempts")       \
  X(IgnoreDueTime, "a deferred row is tried again at once")                         \
  X(IgnoreLifetime, "a row is tried again after its lifetime")                      \
  X(ForgetMaybe, "a reply that is missing after the dot is not said to be a maybe") \
  X(BounceDeferral, "a refusal for now counts as one for good")                     \
  X(BelieveRefusals, "a site that refuses the sender bounces the whole list")       \
  X(ForgetReset, "no RSET follows a refused transaction")                           \
  X(OneMoreDelivery, "a connection carries one message more than allowed")          \
  X(OneMoreConnection, "a lane opens one connection more than allowed")             \
  X(LeakPermit, "a permit that was not used is not given back")                     \
  X(IgnoreRate, "a message goes although its permit was denied")                    \
  X(WrongSource, "mail of one lane leaves on a connection of another's source")     \
  X(WrongContent, "a message is sent with the content of the one before")           \
  X(NewMessageId, "a second attempt has a Message-ID of its own")                   \
  X(NoDeadline, "a reply is waited for without a deadline")                         \
  X(CutDrain, "a drain cuts what is in flight at once")                             \
  X(EventsBehind, "the follower saves its place before it writes the events")       \
  X(ExpiredAnswer, "the resolver uses an answer long after its time")               \
  X(ClearAfterAll, "mail that must be encrypted goes in clear when TLS fails")      \
  X(SkipOnResume, "a resumed session passes for one whose peer was authenticated")  \
  X(BelieveInjected, "a reply that came before the handshake is believed after it")

enum class Defect : uint8_t {
  kNone,
#define SLUICE_DEFECT_NAME(name, words) k##name,
  SLUICE_DEFECT_LIST(SLUICE_DEFECT_NAME)
#undef SLUICE_DEFECT_NAME
};

#ifdef SLUICE_DEFECTS
Defect chosen_defect();
inline bool defect(Defect which) { return which == chosen_defect(); }
#else
constexpr bool defect(Defect) { return false; }
#endif

}  // namespace sluice
