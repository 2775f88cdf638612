// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>
#include <span>
#include <tuple>

#include "output.h"
#include "value.h"

namespace weightmap::tool {
namespace {

enum Column : std::uint8_t { kName, kDtype, kShape, kSize, kNotes, kColumns };
using Cells = std::array<std::string, kColumns>;
using Widths = std::array<std::size_t, kColumns>;

constexpr std::size_t kGap = 2;
constexpr std::size_t kNarrowest = 6;  // a column is not cut further
constexpr std::size_t kListed = 20;    // values and module paths shown of each kind

// The same place and the same reading of it: what load_state_dict would see as one tensor.
auto identity(const ListedTensor& tensor) {
  const TensorView& view = tensor.view;
  const auto shape = view.shape();
  const auto strides = view.strides();
  return std::tuple(*tensor.segment, tensor.offset_bytes, view.dtype(),
                    std::vector(shape.begin(), shape.end()),
                    std::vector(strides.begin(), strides.end()), view.is_conj(), view.is_neg());
}

// Who else refers to a tensor's bytes.
class Sharing {
 public:
  explicit Sharing(const Listing& listing) : listing_(listing), distinct_(listing.segments.size()) {
    for (const ListedTensor& tensor : listing.tensors) {
      if (!tensor.segment) continue;
      const bool is_new = first_.emplace(identity(tensor), &tensor).second;
      distinct_[*tensor.segment] += is_new ? 1 : 0;
    }
  }

  std::string note(const ListedTensor& tensor) const {
    if (!tensor.segment) return {};
    const ListedTensor* first = first_.at(identity(tensor));
    if (first != &tensor) return "= " + printable(first->view.name());
    const SegmentInfo& segment = listing_.segments[*tensor.segment];
    const bool is_whole = tensor.size_bytes == segment.size_bytes;
    if (is_whole && distinct_[*tensor.segment] == 1) return {};
    const std::string note = fmt::format("view of segment {}", *tensor.segment);
    return is_whole ? note : fmt::format("{} ({})", note, human_bytes(segment.size_bytes));
  }

 private:
  const Listing& listing_;
  std::map<decltype(identity(std::declval<ListedTensor>())), const ListedTensor*> first_;
  std::vector<std::size_t> distinct_;  // different readings, by segment
};

std::string list_text(std::span<const std::int64_t> numbers) {
  return fmt::format("[{}]", fmt::join(numbers, ", "));
}

std::string notes(const ListedTensor& tensor, const Sharing& sharing) {
  const TensorView& view = tensor.view;
  std::vector<std::string> words;
  const auto add = [&](bool holds, std::string word) {
    if (holds && !word.empty()) words.push_back(std::move(word));
  };
  add(true, sharing.note(tensor));
  add(!view.is_contiguous(), "strides " + list_text(view.strides()));
  add(view.is_parameter(), "parameter");
  add(view.is_buffer(), "buffer");
  add(view.requires_grad(), "requires_grad");
  add(view.is_conj(), "conj");
  add(view.is_neg(), "neg");
  add(view.is_part(), "part");
  add(view.is_meta(), "meta");
  add(view.is_uninitialized(), "uninitialized");
  return fmt::format("{}", fmt::join(words, ", "));
}

std::vector<Cells> rows_of(const Listing& listing) {
  const Sharing sharing(listing);
  std::vector<Cells> rows{{"name", "dtype", "shape", "size", ""}};
  for (const ListedTensor& tensor : listing.tensors) {
    rows.push_back({printable(tensor.view.name()), std::string(dtype_name(tensor.view.dtype())),
                    list_text(tensor.view.shape()), human_bytes(tensor.size_bytes),
                    notes(tensor, sharing)});
  }
  return rows;
}

Widths natural_widths(const std::vector<Cells>& rows) {
  Widths widths{};
  for (const Cells& row : rows) {
    for (std::size_t column = 0; column < kColumns; ++column) {
      widths[column] = std::max(widths[column], width(row[column]));
    }
  }
  return widths;
}

// Takes from the widest of the columns that may be cut until all fit.
Widths fitted(Widths widths, std::size_t columns) {
  std::size_t total = std::accumulate(widths.begin(), widths.end(), kGap * (kColumns - 1));
  for (; total > columns; --total) {
    std::size_t& widest =
        std::max({std::ref(widths[kName]), std::ref(widths[kShape]), std::ref(widths[kNotes])});
    if (widest <= kNarrowest) break;
    --widest;
  }
  return widths;
}

// Where nothing is cut, one name of 60,000 bytes should not fill every other row up to its length.
Widths padded(Widths widths, const Screen& screen) {
  constexpr std::size_t kWidest = 100;
  if (screen.columns != Screen::kUnlimited) return widths;
  for (std::size_t& width : widths)
    width = std::min(width, kWidest);
  return widths;
}

void print_row(const Cells& row, const Widths& widths, const Screen& screen, bool is_heading) {
  const Widths pads = padded(widths, screen);
  const std::string notes =
      row[kNotes].empty() ? "" : std::string(kGap, ' ') + cut_end(row[kNotes], widths[kNotes]);
  const std::string line =
      fmt::format("{:<{}}  {:<{}}  {:<{}}  {:>{}}", cut_middle(row[kName], widths[kName]),
                  pads[kName], row[kDtype], pads[kDtype], cut_end(row[kShape], widths[kShape]),
                  pads[kShape], row[kSize], pads[kSize]);
  const std::string shown = is_heading ? coloured(screen, Colour::kBold, line) : line;
  print("{}{}\n", shown, coloured(screen, Colour::kFaint, notes));
}

void print_tensors(const Listing& listing, const Screen& screen) {
  if (listing.tensors.empty()) return;
  put("\n");
  const std::vector<Cells> rows = rows_of(listing);
  const Widths widths = fitted(natural_widths(rows), screen.columns);
  for (const Cells& row : rows) {
    print_row(row, widths, screen, &row == &rows.front());
  }
}

// A line of text, cut to the screen.
void print_line(const Screen& screen, const std::string& text) {
  print("{}\n", cut_end(text, screen.columns));
}

void print_heading(const Listing& listing, const Screen& screen) {
  std::string what = fmt::format("{}: {}", printable(listing.path), listing.kind);
  if (listing.format_version) what += " " + *listing.format_version;
  what += ", " + human_bytes(listing.size_bytes);
  if (listing.alignment_bytes) what += ", alignment " + human_bytes(*listing.alignment_bytes);
  print_line(screen, what);
  if (listing.digest) print_line(screen, "digest " + listing.digest->hex());
  if (!listing.format_version) print_line(screen, "what weightmap convert would write:");
}

// The files beside a weight file that its tensors lie in.
void print_data_files(const Listing& listing, const Screen& screen) {
  if (listing.data_files.size() < 2 || !listing.format_version) return;
  put("\n");
  print_line(screen, fmt::format("data files beside it: {}", listing.data_files.size() - 1));
  for (const DataFileInfo& file : std::span(listing.data_files).subspan(1)) {
    print_line(screen,
               fmt::format("  {}: {}, {}, alignment {}", printable(file.name), file.kind,
                           human_bytes(file.size_bytes), human_bytes(file.alignment_bytes)));
    if (!file.problem.empty()) print_line(screen, "    " + printable(file.problem));
  }
}

// One line a composite: what it is, its numbers, the roles of its parts.
std::string composite_line(const CompositeView& composite) {
  std::string line = fmt::format("  {}: {} of {} {}", printable(composite.name()),
                                 composite_kind_name(composite.kind()),
                                 dtype_name(composite.dtype()), list_text(composite.shape()));
  std::vector<std::string> words;
  if (!composite.class_name().empty()) words.push_back(printable(composite.class_name()));
  for (const double real : composite.reals()) {
    words.push_back(real_text(real));
  }
  const bool has_strides = composite.kind() == CompositeKind::kWrapperSubclass;
  for (const std::int64_t integer : composite.integers()) {
    if (!has_strides) words.push_back(std::to_string(integer));
  }
  for (const CompositePart& part : composite.parts()) {
    words.push_back(printable(part.role));
  }
  return fmt::format("{}: {}", line, fmt::join(words, ", "));
}

void print_composites(const Listing& listing, const Screen& screen) {
  if (listing.composites.empty()) return;
  put("\n");
  print_line(screen, fmt::format("composites: {}", listing.composites.size()));
  for (const CompositeView& composite : listing.composites) {
    print_line(screen, composite_line(composite));
  }
}

void print_modules(const Listing& listing, const Screen& screen) {
  if (listing.modules.empty()) return;
  std::map<std::int64_t, std::vector<std::string>> by_version;
  for (const ModuleVersion& module : listing.modules) {
    by_version[module.version].push_back(module.path.empty() ? "(root)" : printable(module.path));
  }
  put("\n");
  print_line(screen, fmt::format("modules: {}", listing.modules.size()));
  for (auto& [version, paths] : by_version) {
    const std::size_t all = paths.size();
    if (all > kListed) paths.resize(kListed);
    const std::string more = all > kListed ? fmt::format(" and {} more", all - kListed) : "";
    print_line(screen, fmt::format("  version {}: {}{}", version, fmt::join(paths, ", "), more));
  }
}

std::string key_text(const Listing& listing, std::uint32_t key) {
  const bool is_string = listing.values.node(key).kind == ValueKind::kStr;
  return is_string ? printable(listing.values.text(key)) : value_text(listing, key);
}

// One line each for what a mapping holds besides tensors, which the table has.
void print_items(const Listing& listing,
                 const Screen& screen,
                 std::uint32_t mapping,
                 std::string_view indent) {
  const auto items = listing.values.items(mapping);
  std::size_t others = 0;
  for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
    const ValueKind kind = listing.values.node(items[i + 1]).kind;
    if (kind == ValueKind::kTensor || kind == ValueKind::kComposite) continue;
    if (++others > kListed) continue;
    print_line(screen, fmt::format("{}{}: {}", indent, key_text(listing, items[i]),
                                   value_text(listing, items[i + 1])));
  }
  if (others > kListed) print_line(screen, fmt::format("{}and {} more", indent, others - kListed));
}

// The metadata of safetensors and of an index of shards: dicts among the root's attributes.
void print_metadata(const Listing& listing, const Screen& screen) {
  const ValueGraph& values = listing.values;
  if (!values.node(values.root()).has_attributes) return;
  const auto attributes = values.items(values.children(values.root()).back());
  for (std::size_t i = 0; i + 1 < attributes.size(); i += 2) {
    if (values.node(attributes[i + 1]).kind != ValueKind::kDict) continue;
    print_line(screen, fmt::format("{}: {}", key_text(listing, attributes[i]),
                                   value_text(listing, attributes[i + 1])));
    print_items(listing, screen, attributes[i + 1], "  ");
  }
}

std::set<std::string> opaque_classes(const ValueGraph& graph) {
  std::set<std::string> classes;
  for (std::uint32_t node = 0; node < graph.size(); ++node) {
    if (graph.node(node).kind == ValueKind::kOpaque) {
      classes.insert(printable(qualified_name(graph.text(node))));
    }
  }
  return classes;
}

void print_extras(const Listing& listing, const Screen& screen) {
  if (listing.values.empty()) return;
  const std::uint32_t root = listing.values.root();
  put("\n");
  print_line(screen, fmt::format("extras: {}", value_text(listing, root)));
  if (is_mapping(listing.values.node(root).kind)) {
    print_items(listing, screen, root, "  ");
  }
  print_metadata(listing, screen);
  const std::set<std::string> classes = opaque_classes(listing.values);
  if (classes.empty()) return;
  print_line(screen, fmt::format("  opaque classes: {}", fmt::join(classes, ", ")));
}

}  // namespace

std::string totals_text(const Listing& listing) {
  std::string text =
      fmt::format("{} in {}, {}", counted(listing.tensors.size(), "tensor"),
                  counted(listing.segments.size(), "segment"), human_bytes(data_bytes(listing)));
  const std::uint64_t shared = shared_bytes(listing);
  if (shared > 0) text += fmt::format("; ties and views share {}", human_bytes(shared));
  return text;
}

void print_listing_table(const Listing& listing, const Screen& screen) {
  print_heading(listing, screen);
  print_tensors(listing, screen);
  put("\n");
  print_line(screen, totals_text(listing));
  print_data_files(listing, screen);
  print_composites(listing, screen);
  print_modules(listing, screen);
  print_extras(listing, screen);
}

}  // namespace weightmap::tool
