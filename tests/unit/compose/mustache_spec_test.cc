// The public cases of the Mustache specification, through the whole of compile() and compose(): a
// case's data become columns ("a.b" of nested ones), its template the HTML part.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/unit/compose/decode.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr const char* kRoot = SLUICE_SOURCE_DIR "/../shared/data/mustache-spec/";
constexpr const char* kSuites[] = {"comments", "delimiters", "interpolation",
                                   "inverted", "partials",   "sections"};

constexpr const char* kUnknown = "a name that no column has is an error outside of sections";
constexpr const char* kFlat = "a row is flat: no value holds other values";
constexpr const char* kList = "a row is flat: no value is a list";
constexpr const char* kRootValue = "a row has columns; it is no value itself";
constexpr const char* kDotted = "a dotted name is a column's name";
constexpr const char* kMissing = "a partial that is missing is an error";
constexpr const char* kEndless = "a partial that puts in itself is refused";

struct Exception {
  const char* suite;
  const char* name;
  const char* why;
};
constexpr Exception kExceptions[] = {
    {"interpolation", "Basic Context Miss Interpolation", kUnknown},
    {"interpolation", "Triple Mustache Context Miss Interpolation", kUnknown},
    {"interpolation", "Ampersand Context Miss Interpolation", kUnknown},
    {"interpolation", "Dotted Names - Basic Interpolation", kFlat},
    {"interpolation", "Dotted Names - Triple Mustache Interpolation", kFlat},
    {"interpolation", "Dotted Names - Ampersand Interpolation", kFlat},
    {"interpolation", "Dotted Names - Broken Chains", kUnknown},
    {"interpolation", "Dotted Names - Broken Chain Resolution", kUnknown},
    {"interpolation", "Dotted Names - Initial Resolution", kFlat},
    {"interpolation", "Dotted Names are never single keys", kDotted},
    {"interpolation", "Dotted Names - No Masking", kDotted},
    {"interpolation", "Implicit Iterators - Basic Interpolation", kRootValue},
    {"interpolation", "Implicit Iterators - HTML Escaping", kRootValue},
    {"interpolation", "Implicit Iterators - Triple Mustache", kRootValue},
    {"interpolation", "Implicit Iterators - Ampersand", kRootValue},
    {"interpolation", "Implicit Iterators - Basic Integer Interpolation", kRootValue},
    {"inverted", "Context", kFlat},
    {"inverted", "List", kList},
    {"partials", "Failed Lookup", kMissing},
    {"partials", "Recursion", kEndless},
    {"sections", "Context", kFlat},
    {"sections", "Parent contexts", kFlat},
    {"sections", "List Contexts", kList},
    {"sections", "Deeply Nested Contexts", kFlat},
    {"sections", "List", kList},
    {"sections", "Implicit Iterator - String", kList},
    {"sections", "Implicit Iterator - Integer", kList},
    {"sections", "Implicit Iterator - Decimal", kList},
    {"sections", "Implicit Iterator - Array", kList},
    {"sections", "Implicit Iterator - HTML Escaping", kList},
    {"sections", "Implicit Iterator - Triple mustache", kList},
    {"sections", "Implicit Iterator - Ampersand", kList},
    {"sections", "Implicit Iterator - Root-level", kRootValue},
};

std::string text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null() || value == json(false) || value.empty()) return "";
  return value.dump();
}

void flatten(const json& data, const std::string& prefix, std::vector<std::string>& names,
             std::vector<std::string>& values) {
  if (!data.is_object()) return;
  for (const auto& [key, value] : data.items()) {
    if (value.is_object()) {
      flatten(value, prefix + key + ".", names, values);
    } else {
      names.push_back(prefix + key);
      values.push_back(text_of(value));
    }
  }
}

// Line ends as they are in a body, which ends its last line.
std::string as_body(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n' && (out.empty() || out.back() != '\r')) out += '\r';
    out += c;
  }
  if (!out.ends_with("\r\n")) out += "\r\n";
  return out;
}

void expect_case(const std::string& suite, const json& test) {
  SCOPED_TRACE(suite + ": " + test["name"].get<std::string>());
  JobSpec spec;
  spec.name = "spec";
  spec.from = "news@example.com";
  spec.subject = "s";
  spec.message.html = "body.html";
  TemplateInput input;
  input.spec = &spec;
  input.job_id = "spec-1";
  input.html = test["template"].get<std::string>();
  input.columns = {"email"};
  std::vector<std::string> values = {"zoe@example.net"};
  flatten(test["data"], "", input.columns, values);
  if (test.contains("partials")) {
    for (const auto& [name, text] : test["partials"].items()) input.partials[name] = text;
  }
  const auto message = MessageTemplate::compile(input);
  ASSERT_TRUE(message.ok()) << message.status();
  const std::vector<std::string_view> views(values.begin(), values.end());
  Row row;
  row.address = views[0];
  row.local_part = "zoe";
  row.domain = "example.net";
  row.values = views;
  MessageBuffer buffer;
  ASSERT_TRUE((*message)->compose(row, {}, buffer).ok());
  const auto made = testing::taken_apart(testing::joined(buffer));
  EXPECT_EQ(testing::decode_qp(made.body), as_body(test["expected"].get<std::string>()));
}

TEST(MustacheSpec, CasesThatApplyHold) {
  if (!std::filesystem::exists(kRoot)) GTEST_SKIP() << "no " << kRoot;
  std::set<std::pair<std::string, std::string>> excepted;
  for (const Exception& exception : kExceptions) excepted.emplace(exception.suite, exception.name);
  ASSERT_EQ(excepted.size(), std::size(kExceptions));
  size_t ran = 0;
  for (const std::string suite : kSuites) {
    std::ifstream file(kRoot + suite + ".json");
    ASSERT_TRUE(file.is_open()) << suite;
    const json all = json::parse(file);
    for (const json& test : all["tests"]) {
      if (excepted.erase({suite, test["name"].get<std::string>()}) > 0) continue;
      expect_case(suite, test);
      ++ran;
    }
  }
  for (const auto& [suite, name] : excepted)
    ADD_FAILURE() << "no such case: " << suite << " " << name;
  EXPECT_GE(ran, 100U);
}

}  // namespace
}  // namespace sluice
