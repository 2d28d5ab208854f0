#include "engine/base/defect.h"

#ifdef SLUICE_DEFECTS

#include <cstdlib>
#include <string_view>

#include "engine/base/check.h"

namespace sluice {
namespace {

Defect defect_of_environment() {
  const char* chosen = std::getenv("SLUICE_DEFECT");
  if (chosen == nullptr) return Defect::kNone;
#define SLUICE_DEFECT_MATCH(name, words) \
  if (std::string_view(chosen) == #name) return Defect::k##name;
  SLUICE_DEFECT_LIST(SLUICE_DEFECT_MATCH)
#undef SLUICE_DEFECT_MATCH
  CHECK(std::string_view(chosen).empty());
  return Defect::kNone;
}

}  // namespace

Defect chosen_defect() {
  static const Defect kChosen = defect_of_environment();
  return kChosen;
}

}  // namespace sluice

#endif
