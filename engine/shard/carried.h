// What a connection carries: rows out of the lane into the dialog, verdicts out of the dialog into
// the journal, and what is learnt of the exchanger on the way. The delivery's helper; its thread.
#pragma once

#include "engine/shard/delivery.h"

namespace sluice {

// As many messages as the dialog's window and the lane allow, each composed at once. Rows of a
// message that is the same for all share a transaction.
void take_messages(Shard& shard, Lane& lane, Connection& c);
// Verdicts that are certain go to the recorder.
void record_verdicts(Shard& shard, Lane& lane, Connection& c);
// After the greeting and after each answer: tells the exchanger's depth what was answered, and the
// dialog how far it may go now.
void learn_depth(Shard& shard, const Lane& lane, Connection& c);
// At the end of the conversation: how it ended.
void learn_end(Shard& shard, const Lane& lane, Connection& c);

}  // namespace sluice
