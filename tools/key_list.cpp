// SPDX-License-Identifier: Apache-2.0
#include "key_list.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "output.h"
#include "spec.h"

namespace weightmap::tool {
namespace {

using FileHandle = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

constexpr std::size_t kMostBytes = 100'000'000;  // as the JSON of other files

bool is_regular(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

bool is_names(const std::string& path) {
  return path.ends_with(".txt") && is_regular(path);
}

Result<std::string> read_text(const std::string& path, std::size_t most) {
  const FileHandle file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  const auto failed = [&] { return Error(ErrorCode::kIo, path + ": " + std::strerror(errno)); };
  if (!file) return failed();
  std::string text;
  std::array<char, 65536> piece{};
  while (text.size() < most) {
    const std::size_t wanted = std::min(piece.size(), most - text.size());
    const std::size_t got = std::fread(piece.data(), 1, wanted, file.get());
    text.append(piece.data(), got);
    if (got < wanted) break;
  }
  if (std::ferror(file.get()) != 0) return failed();
  return text;
}

// Whether the file goes on with the text, after white space.
bool goes_on_with(std::FILE* file, std::string_view text) {
  int letter = std::fgetc(file);
  while (letter == ' ' || letter == '\t' || letter == '\r' || letter == '\n')
    letter = std::fgetc(file);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i > 0) letter = std::fgetc(file);
    if (letter != static_cast<unsigned char>(text[i])) return false;
  }
  return true;
}

// The first field of the JSON object that is there, after a byte order mark. At most as long as
// those that a spec has.
std::string first_field(std::FILE* file) {
  constexpr std::size_t kLongest = 6;
  if (!goes_on_with(file, "\xEF\xBB\xBF")) std::rewind(file);
  std::string name;
  if (!goes_on_with(file, "{") || !goes_on_with(file, "\"")) return name;
  for (int letter = std::fgetc(file); letter != '"' && letter != EOF; letter = std::fgetc(file)) {
    if (name.size() == kLongest) return {};
    name += static_cast<char>(letter);
  }
  return goes_on_with(file, ":") ? name : "";
}

bool is_spec(const std::string& path) {
  if (!is_regular(path)) return false;
  const FileHandle file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (!file) return false;
  const std::string field = first_field(file.get());
  if (field == "format") return goes_on_with(file.get(), "\"weightmap spec");
  return field == "keys" && goes_on_with(file.get(), "[");
}

KeyList list_of(const std::string& path, const char* kind, std::vector<SpecKey> parsed) {
  const auto owner = std::make_shared<const std::vector<SpecKey>>(std::move(parsed));
  KeyList list{.path = path, .kind = kind, .owner = owner};
  for (const SpecKey& key : *owner) {
    KeyFacts& facts = list.keys.emplace_back(KeyFacts{.name = key.name, .dtype = key.dtype});
    if (key.shape) facts.shape = *key.shape;
  }
  return list;
}

Result<KeyList> read_spec_or_names(const std::string& path) {
  const auto text = read_text(path, kMostBytes + 1);
  if (!text) return text.error();
  if (text->size() > kMostBytes) {
    return Error(ErrorCode::kUnsupported, path + ": is longer than 100 MB");
  }
  const bool has_names = is_names(path);
  auto keys = has_names ? parse_names(*text) : parse_spec(*text);
  if (!keys) return keys.error().with_context(path);
  return list_of(path, has_names ? "list of names" : "spec", std::move(*keys));
}

// A composite counts with what it stands for; its parts are no keys.
std::vector<KeyFacts> keys_of(const Listing& listing) {
  std::vector<KeyFacts> keys;
  for (const ListedTensor& tensor : listing.tensors) {
    const TensorView& view = tensor.view;
    if (view.is_part()) continue;
    keys.push_back({.name = view.name(), .dtype = view.dtype(), .shape = view.shape()});
  }
  for (const CompositeView& composite : listing.composites) {
    keys.push_back(
        {.name = composite.name(), .dtype = composite.dtype(), .shape = composite.shape()});
  }
  return keys;
}

}  // namespace

bool is_spec_or_names(const std::string& path) {
  return is_names(path) || is_spec(path);
}

Result<KeyList> read_keys(const std::string& path, const CheckpointOptions& options) {
  if (is_spec_or_names(path)) {
    if (options.root.empty()) return read_spec_or_names(path);
    return Error(ErrorCode::kInvalidArgument, path + ": --root is for checkpoints");
  }
  auto listing = list_any(path, options);
  if (!listing) return listing.error();
  const auto owner = std::make_shared<const Listing>(std::move(*listing));
  return KeyList{.path = path, .kind = owner->kind, .keys = keys_of(*owner), .owner = owner};
}

void print_spec(const Listing& listing) {
  print("{{\n \"format\": \"{}\",\n \"keys\": [", kSpecFormat);
  const char* before = "\n";
  for (const KeyFacts& key : keys_of(listing)) {
    const Json entry{{"name", key.name},
                     {"dtype", dtype_name(*key.dtype)},
                     {"shape", std::vector<std::int64_t>(key.shape->begin(), key.shape->end())}};
    print("{}  {}", before, json_text(entry));
    before = ",\n";
  }
  put("\n ]\n}\n");
}

}  // namespace weightmap::tool
