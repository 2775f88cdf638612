// SPDX-License-Identifier: Apache-2.0
#include "support/expectation.h"

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "support/file_bytes.h"

namespace weightmap::tests {
namespace {

using Json = nlohmann::json;

std::optional<std::size_t> optional_number(const Json& object, const char* field) {
  const auto found = object.find(field);
  if (found == object.end() || found->is_null()) return std::nullopt;
  return found->get<std::size_t>();
}

ExpectedTensor read_tensor(const Json& json) {
  return {.name = json.at("name"),
          .dtype = json.at("dtype"),
          .shape = json.at("shape"),
          .strides = json.at("strides"),
          .storage = optional_number(json, "storage"),
          .storage_offset_bytes = json.at("storage_offset_bytes"),
          .requires_grad = json.at("requires_grad"),
          .parameter = json.at("parameter"),
          .conj = json.at("conj"),
          .neg = json.at("neg"),
          .meta = json.at("meta"),
          .bytes = from_hex(json.at("bytes"))};
}

ExpectedNode read_node(const Json& json) {
  ExpectedNode node{.kind = json.at("kind"),
                    .value = json.value("value", Json()),
                    .children = json.value("children", std::vector<std::size_t>()),
                    .attributes = optional_number(json, "attributes"),
                    .state = optional_number(json, "state")};
  const auto factory = json.find("factory");
  if (factory != json.end() && factory->is_string()) node.factory = *factory;
  return node;
}

unsigned digit_of(char digit) {
  if (digit >= '0' && digit <= '9') return static_cast<unsigned>(digit - '0');
  if (digit >= 'a' && digit <= 'f') return static_cast<unsigned>(digit - 'a') + 10U;
  throw std::runtime_error("not a hexadecimal digit");
}

}  // namespace

std::string from_hex(const std::string& digits) {
  std::string bytes;
  bytes.reserve(digits.size() / 2);
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(digit_of(digits[i]) << 4U | digit_of(digits[i + 1]));
  }
  return bytes;
}

Expectation read_expectation(const std::string& json_path) {
  const Json json = Json::parse(read_file(json_path));
  Expectation expected;
  for (const Json& storage : json.at("storages")) {
    expected.storages.push_back({storage.at("size_bytes"), from_hex(storage.at("bytes"))});
  }
  for (const Json& tensor : json.at("tensors"))
    expected.tensors.push_back(read_tensor(tensor));
  for (const Json& module : json.at("modules")) {
    expected.modules.push_back({module.at("path"), module.at("version")});
  }
  for (const Json& node : json.at("values").at("nodes"))
    expected.nodes.push_back(read_node(node));
  expected.root = json.at("values").at("root");
  return expected;
}

std::vector<std::string> described_checkpoints(const std::string& data_directory) {
  std::vector<std::string> paths;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(data_directory + "/checkpoints")) {
    const std::string path = entry.path().string();
    if (path.ends_with(".pt") && std::filesystem::exists(description_of(path))) {
      paths.push_back(path);
    }
  }
  std::ranges::sort(paths);
  return paths;
}

std::string description_of(const std::string& checkpoint_path) {
  return std::filesystem::path(checkpoint_path).replace_extension(".json").string();
}

}  // namespace weightmap::tests
