// Assertions that stay on in release builds.
//
// CHECK aborts the process with file, line and condition: for states that cannot happen unless
// the program is wrong. DCHECK is for checks that cost more than a comparison and is compiled out
// unless SLUICE_DCHECK is defined (the debug and tsan presets define it through NDEBUG's absence).
// Operating errors (a full disk, a broken peer) are never CHECKed: they are values.
#pragma once

namespace sluice {

// Prints "CHECK failed: <condition> at <file>:<line>" to standard error and aborts. Any thread.
[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace sluice

#define CHECK(condition)                             \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::sluice::check_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define DCHECK(condition) static_cast<void>(0)
#else
#define DCHECK(condition) CHECK(condition)
#endif
