// A message made of job.toml's [message]: text, HTML and attachments as MIME (RFC 2045, 2046).
//
// Text and HTML together are multipart/alternative; an attachment that the HTML names by
// "cid:FILENAME" stands beside the HTML in multipart/related, the others behind it all in
// multipart/mixed. Text is UTF-8 in quoted-printable; a part without fields that base64 makes
// smaller (mostly non-ASCII) is base64. Attachments are base64, encoded once.
// Private to the room; one thread's.
#pragma once

#include "engine/base/status.h"
#include "engine/compose/message_builder.h"
#include "engine/compose/message_template.h"

namespace sluice {

// Adds everything from MIME-Version on to `builder`, and what a person should know to `warnings`.
Status add_made_message(const TemplateInput& input, MessageBuilder& builder,
                        std::vector<std::string>& warnings);

}  // namespace sluice
