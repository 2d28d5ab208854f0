#include "engine/config/automation_section.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/strings.h"
#include "engine/config/kumo_keys.h"
#include "engine/config/regex_check.h"
#include "engine/config/shaping_keys.h"

namespace sluice::config {
namespace {

using Kind = AutomationAction::Kind;

constexpr Word<Kind> kPlain[] = {{"Suspend", Kind::kSuspend},
                                 {"SuspendTenant", Kind::kSuspendTenant},
                                 {"SuspendCampaign", Kind::kSuspendCampaign},
                                 {"Bounce", Kind::kBounce},
                                 {"BounceTenant", Kind::kBounceTenant},
                                 {"BounceCampaign", Kind::kBounceCampaign}};
constexpr Word<Kind> kSetting[] = {{"SetConfig", Kind::kSetConfig},
                                   {"SetDomainConfig", Kind::kSetDomainConfig}};

constexpr const char* kActionForms =
    "write \"Suspend\", {SetConfig={name=\"connection_limit\", value=1}}, or several in [...]";

void read_regexes(Section& section, Automation& out) {
  std::vector<PlacedText> regexes;
  if (section.find("regex") == nullptr) {
    section.problems().add(section.place(),
                           section.name_of("regex") + " is missing; write what a reply must match");
    return;
  }
  section.texts("regex", regexes, true);
  for (PlacedText& regex : regexes) {
    if (const auto mistake = regex_mistake(regex.text)) {
      section.problems().add(regex.place, section.name_of("regex") + " = " + quote(regex.text) +
                                              " is no regular expression: " + *mistake +
                                              "; mend it (in '''...''' a backslash is itself)");
    }
    out.regexes.push_back(std::move(regex.text));
  }
}

// {name = "connection_limit", value = 1}
void read_setting(Section section, AutomationAction& out) {
  const bool named = section.text("name", out.name);
  const bool valued = section.find("value") != nullptr;
  section.finish();
  if (!named || !valued) {
    if (section.present() && section.find("name") == nullptr) {
      section.error("name", "is missing; write the key that is to be set");
    }
    if (section.present() && !valued) {
      section.error("value", "is missing; write what the key is to be set to");
    }
    return;
  }
  out.value = written_value(section, "value");
  std::vector<std::string_view> known = unbuilt_shaping_keys();
  for (const ShapingKey& key : built_shaping_keys()) {
    known.push_back(key.name);
    if (key.name == out.name) key.read(section, "value", out.keys);
  }
  if (std::find(known.begin(), known.end(), out.name) != known.end()) return;
  const std::string_view near = nearest(out.name, known);
  section.error("name", "= " + quote(out.name) + " is no key of shaping rules" +
                            (near.empty() ? "; write one, such as \"connection_limit\""
                                          : "; did you mean " + quote(near) + "?"));
}

void read_action(Section& section, const toml::node& node, Automation& out) {
  AutomationAction action;
  const Place place = place_of(node.source());
  if (const auto* word = node.as_string()) {
    const auto* const plain = std::find_if(std::begin(kPlain), std::end(kPlain),
                                           [&](auto& known) { return known.first == word->get(); });
    if (plain == std::end(kPlain)) {
      std::vector<std::string_view> known;
      for (const auto& [name, kind] : kPlain) known.push_back(name);
      const std::string_view near = nearest(word->get(), known);
      section.problems().add(
          place, section.name_of("action") + " = " + quote(word->get()) + " is no action; " +
                     (near.empty() ? kActionForms : "did you mean " + quote(near) + "?"));
      return;
    }
    action.kind = plain->second;
  } else if (const auto* table = node.as_table()) {
    Section forms(table, section.name_of("action"), place, section.problems());
    if (table->size() != 1) {
      section.problems().add(place, section.name_of("action") + " is no action; " + kActionForms);
      return;
    }
    for (const auto& [name, kind] : kSetting) {
      if (forms.find(name) == nullptr) continue;
      action.kind = kind;
      read_setting(forms.section(name), action);
    }
    forms.finish();
  } else {
    section.problems().add(place, section.name_of("action") + " is no action; " + kActionForms);
    return;
  }
  out.actions.push_back(std::move(action));
}

void read_actions(Section& section, Automation& out) {
  const toml::node* node = section.find("action");
  const toml::array* several = node == nullptr ? nullptr : node->as_array();
  if (node == nullptr || (several != nullptr && several->empty())) {
    section.error("action", std::string("is missing; ") + kActionForms);
  } else if (several == nullptr) {
    read_action(section, *node, out);
  } else {
    for (const toml::node& one : *several) read_action(section, one, out);
  }
}

void read_trigger(Section& section, Automation& out) {
  const toml::node* node = section.find("trigger");
  if (node == nullptr) return;
  if (node->is_table()) {
    Section trigger = section.section("trigger");
    if (trigger.find("Threshold") == nullptr) {
      trigger.error("Threshold", "is missing; write trigger = {Threshold=\"2/hr\"}");
    }
    trigger.rate("Threshold", out.threshold);
    trigger.finish();
    return;
  }
  const auto* word = node->as_string();
  if (word == nullptr || word->get() != "Immediate") {
    section.error("trigger", "is no trigger; write \"Immediate\" or {Threshold=\"2/hr\"}");
  }
}

void read_duration(Section& section, Automation& out) {
  constexpr Duration kLeast = std::chrono::seconds(1);
  constexpr Duration kMost = std::chrono::hours(24) * 3'660;
  const toml::node* node = section.find("duration");
  if (node == nullptr) {
    section.error("duration", "is missing; write how long the actions hold, such as \"90m\"");
  } else if (node->is_integer()) {
    uint64_t count = 0;
    if (section.number("duration", count, 1, 3'660UL * 86'400)) {
      out.duration = std::chrono::seconds(static_cast<int64_t>(count));
    }
  } else {
    section.duration("duration", out.duration, kLeast, kMost);
  }
}

}  // namespace

std::vector<Automation> read_automation(Section& table) {
  std::vector<Automation> out;
  for (Section& section : table.sections("automation")) {
    Automation automation;
    automation.line = static_cast<int>(section.place().line);
    read_regexes(section, automation);
    read_actions(section, automation);
    read_trigger(section, automation);
    read_duration(section, automation);
    section.flag("match_internal", automation.match_internal);
    section.finish();
    out.push_back(std::move(automation));
  }
  return out;
}

}  // namespace sluice::config
