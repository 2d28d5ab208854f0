// SPOOL/mta-sts.json: the MTA-STS policies that outlive the process.
//
// PURPOSE. Values to text and back; the caller reads and writes: durably under another name,
//   renamed.
// FORMAT. One JSON object, a line for each policy, by domain; times are seconds since 1970:
//     {"version":1,"policies":[
//     {"domain":"example.com","mode":"enforce","mx":["*.mx.example.com"],"id":"20260101",
//      "fetched":1800000000,"max_age":604800}
//     ]}
//   (each policy is one line in the file).
// THREAD. Any; pure.
// ERRORS. A file that is no such object is an error as a whole. A policy in it that is not as it is
//   written here is left out and counted. What is lost is learnt again, as at a first contact.
// LIMITS. kStsFileBytesMax.
// BUGS. No checksum: an octet that changed within a name is not noticed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/resolve/sts_store.h"

namespace sluice {

inline constexpr std::string_view kStsFileName = "mta-sts.json";
// For whoever reads it: a larger one is refused.
inline constexpr uint64_t kStsFileBytesMax = 256UL << 20;

std::string sts_file_text(const std::vector<SavedStsPolicy>& policies);

struct StsFile {
  std::vector<SavedStsPolicy> policies;
  size_t left_out = 0;
};
StatusOr<StsFile> parse_sts_file(std::string_view text);

}  // namespace sluice
