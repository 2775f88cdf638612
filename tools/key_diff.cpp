// SPDX-License-Identifier: Apache-2.0
#include "key_diff.h"

#include "key_list.h"
#include "terminal.h"

namespace weightmap::tool {
namespace {

struct Sides {
  KeyList file;
  KeyList against;
};

Result<Sides> read_sides(const KeyDiffArguments& arguments) {
  auto file = read_keys(arguments.file, arguments.file_options);
  if (!file) return file.error();
  auto against = read_keys(arguments.against, arguments.against_options);
  if (!against) return against.error();
  return Sides{std::move(*file), std::move(*against)};
}

void print_text(const Sides& sides, const Diagnosis& diagnosis) {
  const Screen screen = screen_of(stdout);
  print("FILE     {}, {}\n", printable(sides.file.path), sides.file.kind);
  print("AGAINST  {}, {}\n", printable(sides.against.path), sides.against.kind);
  print("{}\n", diagnosis.text());
  put(diagnosis.fits() ? coloured(screen, Colour::kGreen, "fits") + "\n"
                       : coloured(screen, Colour::kRed, "does not fit") + "\n");
}

Json side_json(const KeyList& side) {
  return {{"path", side.path}, {"kind", side.kind}, {"keys", side.keys.size()}};
}

Json missing_json(const Diagnosis& diagnosis) {
  Json list = Json::array();
  for (const MissingKey& key : diagnosis.missing) {
    list.push_back(
        {{"key", key.key}, {"nearest", key.nearest.empty() ? Json() : Json(key.nearest)}});
  }
  return list;
}

Json mismatched_json(const Diagnosis& diagnosis) {
  Json list = Json::array();
  for (const MismatchedKey& key : diagnosis.mismatched) {
    list.push_back({{"key", key.key},
                    {"shape", key.shape},
                    {"dtype", key.dtype},
                    {"transposed", key.is_transposed},
                    {"text", key.text}});
  }
  return list;
}

Json causes_json(const Diagnosis& diagnosis) {
  Json list = Json::array();
  for (const DiagnosisCause& cause : diagnosis.causes) {
    list.push_back({{"kind", cause_kind_name(cause.kind)},
                    {"subject", cause.subject},
                    {"keys", cause.keys},
                    {"text", cause.text}});
  }
  return list;
}

void print_json_outcome(const Sides& sides, const Diagnosis& diagnosis) {
  print_json({{"fits", diagnosis.fits()},
              {"file", side_json(sides.file)},
              {"against", side_json(sides.against)},
              {"matched", diagnosis.matched},
              {"missing", missing_json(diagnosis)},
              {"unexpected", diagnosis.unexpected},
              {"mismatched", mismatched_json(diagnosis)},
              {"causes", causes_json(diagnosis)},
              {"remedy", diagnosis.remedy.arguments()},
              {"mended", diagnosis.mended}});
}

}  // namespace

int diff_keys(const KeyDiffArguments& arguments) {
  const auto sides = read_sides(arguments);
  if (!sides) return report(sides.error(), arguments.style, {}, kDiffFailed);
  const Diagnosis diagnosis = diagnose(sides->against.keys, sides->file.keys, arguments.options);
  const bool json = arguments.style == Style::kJson;
  json ? print_json_outcome(*sides, diagnosis) : print_text(*sides, diagnosis);
  return diagnosis.fits() ? kDone : kDifferent;
}

}  // namespace weightmap::tool
