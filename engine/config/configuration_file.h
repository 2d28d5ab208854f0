// sluice.toml: text -> Configuration.
//
// OWNERSHIP  The result holds copies; nothing points into `text`.
//
// THREAD  Any; pure but for `read`, which is called during the parse, once for each file that
// [shaping] names. This room does no I/O of its own.
//
// ERRORS  kFailedPrecondition (exit 78), or kUnimplemented (78 too) when everything that is wrong
// is promised but not built yet. One line a mistake, in the file's order:
//     sluice.toml:12:3: unknown key smtp.prot; did you mean smtp.port?
// All mistakes are told at once, but for malformed TOML, where only the first is certain. A key
// that is promised but not built is refused by name.
//
// LIMITS  4 MiB of text, 16 dots outside quotes a line, 64 shaping files, 50 mistakes told.
//
// BUGS  Paths of [spool], [record] and [admin] are taken as they stand: relative ones are relative
// to the working directory. Only shaping files are relative to the configuration's folder.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/configuration.h"

namespace sluice {

// Gives the whole text of a file, or why it cannot be read.
using FileReader = std::function<StatusOr<std::string>(const std::string& path)>;

// `file` names the text in messages and in Configuration::file; its folder is where the shaping
// files are looked for. `warnings` (may be null) gets what is legal but has no effect yet. Sources
// and pools are complete in the result: see Configuration. A source's `hello` is [smtp] hello
// where the source names none; both stay empty where neither does, and the caller fills in the
// machine's host name.
StatusOr<Configuration> parse_configuration(std::string_view text, const std::string& file,
                                            const FileReader& read,
                                            std::vector<std::string>* warnings = nullptr);

}  // namespace sluice
