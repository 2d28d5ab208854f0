// Any sluice.toml is taken or refused with a place and a reason; what is taken can be written as
// `sluice init` does, and is then read as the same.
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/config/configuration_file.h"
#include "engine/config/default_file.h"
#include "tests/fuzz/config_errors.h"
#include "tests/fuzz/input.h"

namespace sluice::fuzz {
namespace {

void check_configuration(const Configuration& configuration) {
  CHECK(!configuration.sources.empty() && !configuration.pools.empty());
  for (const Source& source : configuration.sources) {
    CHECK(!source.name.empty() && source.addresses.size() <= 2);
  }
  for (const Pool& pool : configuration.pools) {
    CHECK(!pool.members.empty());
    for (const Pool::Member& member : pool.members) CHECK(member.weight > 0);
  }
  CHECK(configuration.engine.max_connections > 0 && configuration.smtp.port != 0);
  CHECK(configuration.retry.retry_interval <= configuration.retry.max_retry_interval);

  const std::string text = configuration_text(configuration);
  const StatusOr<Configuration> again = parse_configuration(
      text, "sluice.toml",
      [](const std::string& path) -> StatusOr<std::string> { return missing(path); });
  CHECK(again.ok());
  CHECK(configuration_text(*again) == text);
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  fuzz::Input input(data, size);
  const std::string_view text = input.field();
  const std::string shaping(input.rest());
  std::vector<std::string> warnings;
  const StatusOr<Configuration> configuration = parse_configuration(
      text, "sluice.toml",
      [&shaping](const std::string& path) -> StatusOr<std::string> {
        CHECK(!path.empty());
        if (path.ends_with("missing.toml")) return missing("sluice.toml: no " + path);
        return shaping;
      },
      &warnings);
  if (!configuration.ok()) {
    CHECK(absl::IsFailedPrecondition(configuration.status()) ||
          absl::IsUnimplemented(configuration.status()));
    // With shaping files the lines carry those files' names, whatever they are.
    if (shaping.empty()) fuzz::check_error(message_of(configuration.status()), {"sluice.toml"});
    return 0;
  }
  fuzz::check_configuration(*configuration);
  return 0;
}
