// The state machine of "relaxed" bodies (RFC 6376 §3.4.4), for whoever takes its output. Pure.
#pragma once

#include <string_view>

#include "engine/compose/dkim_body.h"

namespace sluice {

inline constexpr bool is_plain_octet(char c) { return c != ' ' && c != '\t' && c != '\r'; }

// The end of the longest run from `at` that is its own canonical form and ends in a plain octet.
// REQUIRES: at < end, *at is plain.
inline const char* end_of_own_form(const char* at, const char* end, bool unstuff) {
  ++at;
  while (true) {
    while (at != end && is_plain_octet(*at)) ++at;
    if (end - at >= 2 && *at == ' ' && is_plain_octet(at[1])) {
      at += 2;
    } else if (end - at >= 3 && *at == '\r' && at[1] == '\n' && is_plain_octet(at[2]) &&
               !(unstuff && at[2] == '.')) {
      at += 3;
    } else {
      return at;
    }
  }
}

// Gives `out` what waited for something to follow.
template <typename Out>
void resolve_relaxed(RelaxedState& state, const Out& out) {
  for (; state.line_ends > 0; --state.line_ends) out(std::string_view("\r\n", 2));
  if (state.blank) out(std::string_view(" ", 1));
  state.blank = false;
  state.any = true;
}

template <typename Out>
void add_relaxed(RelaxedState& state, std::string_view octets, bool unstuff, const Out& out) {
  const char* at = octets.data();
  const char* const end = at + octets.size();
  while (at != end) {
    if (state.cr) {
      state.cr = false;
      if (*at == '\n') {
        state.blank = false;
        ++state.line_ends;
        state.line_begins = true;
        ++at;
        continue;
      }
      resolve_relaxed(state, out);
      out(std::string_view("\r", 1));
      state.line_begins = false;
    }
    if (*at == '\r') {
      state.cr = true;
      ++at;
    } else if (unstuff && state.line_begins && *at == '.') {
      state.line_begins = false;
      ++at;
    } else if (!is_plain_octet(*at)) {
      state.blank = true;
      state.line_begins = false;
      ++at;
    } else {
      resolve_relaxed(state, out);
      const char* const begin = at;
      at = end_of_own_form(at, end, unstuff);
      out(std::string_view(begin, static_cast<size_t>(at - begin)));
      state.line_begins = false;
    }
  }
}

// What belongs behind the last octet: a line end, unless there was nothing.
template <typename Out>
void finish_relaxed(RelaxedState& state, const Out& out) {
  if (state.cr) {
    resolve_relaxed(state, out);
    out(std::string_view("\r", 1));
  }
  if (state.any) out(std::string_view("\r\n", 2));
  state = {};
}

}  // namespace sluice
