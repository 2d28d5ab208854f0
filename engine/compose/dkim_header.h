// The header fields of a message as DKIM signs them: which ones, how often, in "relaxed" form
// (RFC 6376 §3.4.2), and the text of a DKIM-Signature field.
//
// PURPOSE. DkimFields finds in the headers of a finished message what is signed. The fields that a
//   reader sees, or that a mail program acts on, are oversigned: h= lists each once more than it
//   occurs, so that one that is put in front breaks the signature. SignatureText writes a field
//   twice: as it is sent, folded, and in canonical form.
// OWNERSHIP. DkimFields points into the headers given to it. Both are used again and again and
//   allocate nothing once they have seen a message of its kind.
// THREAD. One at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

class DkimFields {
 public:
  // `headers`: CRLF line ends, without the empty line.
  void index(std::string_view headers);
  // "From:From:To:To..." one name at a time, in order: `add` takes each.
  template <typename Add>
  void names(const Add& add) const {
    for (size_t i = 0; i < kSignedCount; ++i) {
      for (uint32_t j = 0; j < counts_[i] + (kSigned[i].oversigned ? 1 : 0); ++j) {
        add(kSigned[i].name);
      }
    }
  }
  // Appends the canonical form of what is signed, in the order of names(), the last of several
  // first, each with its CRLF.
  void append_canonical(std::string& out) const;
  // The domain of the address in From, as written; empty when there is none.
  std::string_view from_domain() const;

 private:
  struct Signed {
    std::string_view name;
    std::string_view canonical;
    bool oversigned;
  };
  static constexpr Signed kSigned[] = {
      {"From", "from:", true},
      {"To", "to:", true},
      {"Cc", "cc:", true},
      {"Subject", "subject:", true},
      {"Date", "date:", true},
      {"Reply-To", "reply-to:", true},
      {"Message-ID", "message-id:", true},
      {"MIME-Version", "mime-version:", true},
      {"Content-Type", "content-type:", true},
      {"Content-Transfer-Encoding", "content-transfer-encoding:", true},
      {"List-Unsubscribe", "list-unsubscribe:", true},
      {"List-Unsubscribe-Post", "list-unsubscribe-post:", true},
      {"List-ID", "list-id:", false},
      {"Feedback-ID", "feedback-id:", false},
  };
  static constexpr size_t kSignedCount = std::size(kSigned);
  struct Found {
    size_t which;
    std::string_view value;
  };
  void take(std::string_view field);

  std::array<uint32_t, kSignedCount> counts_{};
  std::vector<Found> found_;  // in the order of the message
};

// Appends `value` in relaxed form: unfolded, blanks joined, none at either end.
void append_relaxed_value(std::string& out, std::string_view value);

class SignatureText {
 public:
  static constexpr size_t kLineMax = 76;

  void start();
  // Behind a blank, on a line of its own if need be.
  void word(std::string_view text) { put(text, true); }
  // "name=value;" behind a blank, on a line of its own if need be; `name` holds the "=".
  void tag(std::string_view name, std::string_view value);
  // Goes on with the word, unless it would be too long for the line.
  void more(std::string_view text) { put(text, false); }
  // "b=" is the last word: what follows is no part of what is signed.
  std::string_view canonical() const { return canonical_; }
  // Appends the signature, folded, and ends the field.
  void sign(std::string_view base64);
  std::string_view text() const { return text_; }

 private:
  void put(std::string_view text, bool blank);
  void fold();

  std::string text_;
  std::string canonical_;
  size_t column_ = 0;
};

}  // namespace sluice
