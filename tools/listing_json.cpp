// SPDX-License-Identifier: Apache-2.0
#include "output.h"
#include "value.h"

// One element of each list a line: long listings are written as they are made, and can be compared
// with line tools.
namespace weightmap::tool {
namespace {

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json digest_json(const Digest& digest) {
  return digest == Digest() ? Json() : Json(digest.hex());
}

Json data_file_json(const DataFileInfo& file) {
  return {{"name", file.name},
          {"kind", file.kind},
          {"size_bytes", file.size_bytes},
          {"alignment_bytes", file.alignment_bytes == 0 ? Json() : Json(file.alignment_bytes)},
          {"identity", digest_json(file.identity)}};
}

Json flags_json(const TensorView& tensor) {
  Json words = Json::array();
  const auto add = [&](bool is_set, const char* word) {
    if (is_set) words.push_back(word);
  };
  add(tensor.is_parameter(), "parameter");
  add(tensor.is_buffer(), "buffer");
  add(tensor.requires_grad(), "requires_grad");
  add(tensor.is_conj(), "conj");
  add(tensor.is_neg(), "neg");
  add(tensor.is_meta(), "meta");
  add(tensor.is_uninitialized(), "uninitialized");
  return words;
}

Json tensor_json(const Listing& listing, const ListedTensor& tensor) {
  Json json{{"name", tensor.view.name()},
            {"dtype", dtype_name(tensor.view.dtype())},
            {"shape", tensor.view.shape()},
            {"strides", tensor.view.strides()},
            {"data_file", nullptr},
            {"offset_bytes", nullptr},
            {"size_bytes", tensor.size_bytes},
            {"segment", or_null(tensor.segment)},
            {"flags", flags_json(tensor.view)}};
  if (tensor.segment) {
    json["data_file"] = listing.segments[*tensor.segment].data_file;
    json["offset_bytes"] = tensor.offset_bytes;
  }
  return json;
}

Json composite_json(const Listing& listing, const ListedComposite& composite) {
  Json parts = Json::array();
  for (const ListedPart& part : composite.parts) {
    parts.push_back({{"role", part.role}, {"tensor", listing.tensors[part.tensor].view.name()}});
  }
  return {{"name", composite.view.name()},
          {"kind", composite_kind_name(composite.kind)},
          {"dtype", dtype_name(composite.view.dtype())},
          {"shape", composite.view.shape()},
          {"flags", flags_json(composite.view)},
          {"parts", parts},
          {"reals", composite.reals},
          {"integers", composite.integers}};
}

Json module_json(const ModuleVersion& module) {
  return {{"path", module.path}, {"version", module.version}};
}

void print_field(std::string_view key, const Json& value) {
  print(" {}: {},\n", json_text(key), json_text(value));
}

template <typename ElementJson>
void print_list(std::size_t count, ElementJson element_json) {
  put("[");
  for (std::size_t i = 0; i < count; ++i) {
    print("{}\n  {}", i == 0 ? "" : ",", json_text(element_json(i)));
  }
  put(count == 0 ? "]" : "\n ]");
}

template <typename T, typename ElementJson>
void print_list_field(std::string_view key, const std::vector<T>& list, ElementJson element_json) {
  print(" {}: ", json_text(key));
  print_list(list.size(), [&](std::size_t i) { return element_json(list[i]); });
  put(",\n");
}

void print_extras(const Listing& listing) {
  print(" {}: ", json_text("extras"));
  if (listing.values.empty()) return put("null\n");
  print("{{{}: {}, {}: ", json_text("root"), listing.values.root(), json_text("nodes"));
  print_list(listing.values.size(),
             [&](std::size_t i) { return value_json(listing, static_cast<std::uint32_t>(i)); });
  put("}\n");
}

}  // namespace

void print_listing_json(const Listing& listing) {
  put("{\n");
  print_field("format_version", or_null(listing.format_version));
  print_field("size_bytes", listing.size_bytes);
  print_field("digest", listing.digest ? Json(listing.digest->hex()) : Json());
  print_field("alignment_bytes", or_null(listing.alignment_bytes));
  print_list_field("data_files", listing.data_files, data_file_json);
  print_list_field("tensors", listing.tensors,
                   [&](const ListedTensor& tensor) { return tensor_json(listing, tensor); });
  if (!listing.composites.empty()) {
    print_list_field("composites", listing.composites, [&](const ListedComposite& composite) {
      return composite_json(listing, composite);
    });
  }
  print_list_field("modules", listing.modules, module_json);
  print_extras(listing);
  put("}\n");
}

}  // namespace weightmap::tool
