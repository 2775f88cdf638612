// SPDX-License-Identifier: Apache-2.0
#include "weightmap/diagnosis.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include <doctest/doctest.h>

#include "base/pattern.h"

namespace weightmap {
namespace {

using Kind = DiagnosisCause::Kind;
using Shape = std::vector<std::int64_t>;

struct Key {
  std::string name;
  std::optional<Shape> shape = std::nullopt;
  std::optional<Dtype> dtype = std::nullopt;
};
using Keys = std::vector<Key>;

std::vector<KeyFacts> facts_of(const Keys& keys) {
  std::vector<KeyFacts> facts;
  for (const Key& key : keys) {
    KeyFacts& added = facts.emplace_back(KeyFacts{.name = key.name, .dtype = key.dtype});
    if (key.shape) added.shape = *key.shape;
  }
  return facts;
}

Diagnosis diagnosed(const Keys& wanted, const Keys& found, const DiagnosisOptions& options = {}) {
  return diagnose(facts_of(wanted), facts_of(found), options);
}

// "a.weight[2,3] a.bias[3]:float16 c": names, shapes and dtypes, where there are any.
Keys keys(const std::string& text) {
  Keys all;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    Key key;
    if (const auto colon = word.find(':'); colon != std::string::npos) {
      key.dtype = dtype_from_name(word.substr(colon + 1));
      word.resize(colon);
    }
    if (const auto bracket = word.find('['); bracket != std::string::npos) {
      key.shape.emplace();
      std::istringstream dims(word.substr(bracket + 1, word.size() - bracket - 2));
      for (std::string dim; std::getline(dims, dim, ',');)
        key.shape->push_back(std::stoll(dim));
      word.resize(bracket);
    }
    key.name = word;
    all.push_back(key);
  }
  return all;
}

// What the converter makes of names: the prefix, then the rules, one after another.
Keys renamed(Keys all, const Remedy& remedy) {
  for (Key& key : all) {
    if (!remedy.strip_prefix.empty() && key.name.starts_with(remedy.strip_prefix)) {
      key.name.erase(0, remedy.strip_prefix.size());
    }
    for (const RenameRule& rule : remedy.rename) {
      if (const auto parts = match(rule.pattern, key.name)) {
        key.name = substitute(rule.replacement, *parts);
      }
    }
  }
  return all;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string causes_text(const Diagnosis& diagnosis) {
  std::vector<std::string> words;
  for (const DiagnosisCause& cause : diagnosis.causes) {
    words.push_back(std::string(cause_kind_name(cause.kind)) + "(" + cause.subject + ")" +
                    std::to_string(cause.keys));
  }
  return joined(words);
}

// A transformer as Hugging Face has it: distinct dimensions, so that shapes tell something.
Keys bert(std::size_t layers, const std::string& prefix = "") {
  Keys all = {{prefix + "embeddings.word.weight", Shape{100, 8}},
              {prefix + "embeddings.LayerNorm.weight", Shape{8}},
              {prefix + "embeddings.LayerNorm.bias", Shape{8}}};
  for (std::size_t i = 0; i < layers; ++i) {
    const std::string layer = prefix + "encoder.layer." + std::to_string(i) + ".";
    for (const char* name : {"query", "key", "value"}) {
      all.push_back({layer + "attention.self." + name + ".weight", Shape{8, 8}});
      all.push_back({layer + "attention.self." + name + ".bias", Shape{8}});
    }
    all.push_back({layer + "output.dense.weight", Shape{8, 32}});
    all.push_back({layer + "output.LayerNorm.weight", Shape{8}});
    all.push_back({layer + "output.LayerNorm.bias", Shape{8}});
  }
  all.push_back({prefix + "pooler.weight", Shape{8, 8}});
  return all;
}

using Rename = std::function<std::string(const std::string&)>;

Keys with_names(Keys all, const Rename& rename) {
  for (Key& key : all)
    key.name = rename(key.name);
  return all;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

TEST_SUITE_BEGIN("runtime/diagnosis");

TEST_CASE("the cause and what mends it are found") {
  struct Row {
    const char* about;
    const char* wanted;
    const char* found;
    const char* causes;
    const char* remedy;
  };
  const Row kRows[] = {
      {"a prefix", "fc.weight fc.bias conv.weight",
       "module.fc.weight module.fc.bias module.conv.weight", "extra_prefix(module.)3",
       "--strip-prefix module."},
      {"a prefix of two", "fc.weight fc.bias",
       "_orig_mod.module.fc.weight _orig_mod.module.fc.bias", "extra_prefix(_orig_mod.module.)2",
       "--strip-prefix _orig_mod.module."},
      {"a prefix that nobody knows", "fc.weight fc.bias", "my.net-1.fc.weight my.net-1.fc.bias",
       "extra_prefix(my.net-1.)2", "--strip-prefix my.net-1."},
      {"peft", "l.weight l.bias", "base_model.model.l.weight base_model.model.l.bias",
       "extra_prefix(base_model.model.)2", "--strip-prefix base_model.model."},
      {"a prefix is lacking", "model.a.weight model.b.weight", "a.weight b.weight",
       "lacking_prefix(model.)2", "--rename *=model.*"},
      {"a prefix is lacking but for the head", "model.a.weight model.b.weight head.weight",
       "a.weight b.weight head.weight", "lacking_prefix(model.)2",
       "--rename a.*=model.a.* --rename b.*=model.b.*"},
      {"prefix of some", "a.weight a.bias head.weight", "m.a.weight m.a.bias head.weight",
       "extra_prefix(m.)2", "--strip-prefix m."},
      {"two prefixes", "a.weight a.bias b.weight b.bias", "x.a.weight x.a.bias y.b.weight y.b.bias",
       "extra_prefix(x.)2 extra_prefix(y.)2", "--strip-prefix x. --rename y.*=*"},
      {"a wrapper inside of names", "a.b.weight a.b.bias a.c.weight",
       "a._wrapped.b.weight a._wrapped.b.bias a._wrapped.c.weight", "extra_component(_wrapped)3",
       "--rename *._wrapped.*=*.*"},
      {"a wrapper at several places", "a.b.weight a.c.weight d.weight",
       "_fsdp_wrapped_module.a._fsdp_wrapped_module.b._fsdp_wrapped_module.weight "
       "_fsdp_wrapped_module.a._fsdp_wrapped_module.c.weight _fsdp_wrapped_module.d.weight",
       "extra_component(_fsdp_wrapped_module)3",
       "--rename *._fsdp_wrapped_module.*=*.* --rename *._fsdp_wrapped_module.*=*.* "
       "--rename _fsdp_wrapped_module.*=*"},
      {"the names of TensorFlow",
       "a.LayerNorm.weight[4] a.LayerNorm.bias[4] b.LayerNorm.weight[4] "
       "b.LayerNorm.bias[4]",
       "a.LayerNorm.beta[4] a.LayerNorm.gamma[4] b.LayerNorm.beta[4] b.LayerNorm.gamma[4]",
       "renamed(*.beta=*.bias)2 renamed(*.gamma=*.weight)2",
       "--rename *.beta=*.bias --rename *.gamma=*.weight"},
      {"families", "h.0.w.weight[2,3] h.0.w.bias[2] h.1.w.weight[2,3] h.1.w.bias[2]",
       "encoder.layer.0.w.weight[2,3] encoder.layer.0.w.bias[2] encoder.layer.1.w.weight[2,3] "
       "encoder.layer.1.w.bias[2]",
       "renamed(encoder.layer.*=h.*)4", "--rename encoder.layer.*=h.*"},
      {"numbers from 1 on",
       "l.0.weight[3] l.0.bias[4] l.1.weight[3] l.1.bias[4] l.2.weight[3] l.2.bias[4]",
       "l.1.weight[3] l.1.bias[4] l.2.weight[3] l.2.bias[4] l.3.weight[3] l.3.bias[4]",
       "shifted_numbers(l.)6", "--rename l.1.*=l.0.* --rename l.2.*=l.1.* --rename l.3.*=l.2.*"},
      {"numbers wanted from 1 on", "l.1.weight[3] l.2.weight[3]", "l.0.weight[3] l.1.weight[3]",
       "shifted_numbers(l.)2", "--rename l.1.*=l.2.* --rename l.0.*=l.1.*"},
      {"one layer of another name", "a.weight[3,2] head.weight[10,3]",
       "a.weight[3,2] fc.weight[10,3]", "renamed(fc.*=head.*)1", "--rename fc.*=head.*"},
      {"another name and another shape", "a.weight[3,2] head.weight[10,3]",
       "a.weight[3,2] fc.weight[9,3]", "", ""},
      {"one name of nothing known", "a.weight head.weight", "a.weight fc.weight", "", ""},
      {"a slot that is no module", "fc a.weight", "fc.bias a.weight b.bias", "extra_leaf(bias)2",
       ""},
      {"transposed", "a.weight[3,2] b.weight[4,5] c.bias[2]",
       "a.weight[2,3] b.weight[5,4] c.bias[2]", "transposed()2", ""},
      {"transposed and with a prefix", "a.weight[3,2] a.bias[3] b.weight[4,5] b.bias[4]",
       "m.a.weight[2,3] m.a.bias[3] m.b.weight[5,4] m.b.bias[4]", "extra_prefix(m.)2 transposed()2",
       "--strip-prefix m."},
      {"a scalar of old", "a[] b[3]", "m.a[1] m.b[3]", "extra_prefix(m.)2", "--strip-prefix m."},
      {"another dtype", "a.weight[3]:float32 b.weight[4]:float32",
       "a.weight[3]:float16 b.weight[4]:float16", "other_dtype(float16)2", "--dtype float32"},
      {"a dtype that no cast makes", "a.weight[3]:int64 b.weight[4]:float32",
       "a.weight[3]:int32 b.weight[4]:float32", "other_dtype(int32)1", ""},
      {"the head is missing", "a.weight head.0.weight head.0.bias head.1.weight", "a.weight",
       "missing_subtree(head.)3", ""},
      {"something more", "a.weight", "a.weight head.0.weight head.0.bias", "extra_subtree(head.)2",
       ""},
      {"fewer layers", "l.0.a l.0.b l.1.a l.1.b l.2.a l.2.b", "l.0.a l.0.b", "missing_layers(l.)4",
       ""},
      {"more layers", "l.0.a l.0.b", "l.0.a l.0.b l.1.a l.1.b", "extra_layers(l.)2", ""},
      {"old BatchNorm", "a.weight a.num_batches_tracked b.num_batches_tracked", "a.weight",
       "missing_leaf(num_batches_tracked)2", ""},
      {"nothing at all", "a.weight[3,2] b.weight[2]", "step[] lr[]", "nothing_in_common()2", ""},
      {"no keys", "a.weight", "", "nothing_in_common()1", ""},
      {"names that a rule cannot say", "fc.weight", "a*b.fc.weight", "nothing_in_common()1", ""},
  };
  for (const Row& row : kRows) {
    CAPTURE(row.about);
    const Diagnosis diagnosis = diagnosed(keys(row.wanted), keys(row.found));
    CHECK_FALSE(diagnosis.fits());
    CHECK(causes_text(diagnosis) == row.causes);
    CHECK(joined(diagnosis.remedy.arguments()) == row.remedy);
  }
}

// Where each found key belongs, in the same order; "" for nowhere.
using Truth = std::vector<std::string>;

// Wanted keys that get another tensor than theirs when the remedy is applied.
std::vector<std::string> wrong_keys(const Keys& found, const Truth& truth, const Remedy& remedy) {
  const Keys after = renamed(found, remedy);
  std::vector<std::string> wrong;
  for (std::size_t i = 0; i < after.size(); ++i) {
    const bool is_taken = std::ranges::find(truth, after[i].name) != truth.end();
    if (is_taken && after[i].name != truth[i]) wrong.push_back(after[i].name);
  }
  return wrong;
}

struct Layout {
  Keys wanted;
  Keys found;
  Truth truth;

  void add(const std::string& is_wanted, const std::string& is_found, const Shape& shape) {
    wanted.push_back({is_wanted, shape});
    found.push_back({is_found, shape});
    truth.push_back(is_wanted);
  }
};

// For every layer, the found names in an order of their own.
Layout layered(std::size_t layers,
               const std::vector<std::array<std::string, 2>>& wanted_and_found,
               const Shape& shape) {
  Layout layout;
  for (std::size_t i = 0; i < layers; ++i) {
    const std::string layer = "l." + std::to_string(i) + ".";
    for (const auto& [wanted, found] : wanted_and_found)
      layout.add(layer + wanted, layer + found, shape);
  }
  return layout;
}

TEST_CASE("a remedy never puts a tensor where another belongs") {
  std::vector<std::pair<const char*, Layout>> layouts;
  Layout& stacks = layouts.emplace_back("two stacks numbered one too high", Layout()).second;
  for (const char* stack : {"encoder.layers.", "decoder.layers."}) {
    for (int i = 0; i < 6; ++i) {
      const std::string wanted = stack + std::to_string(i);
      const std::string found = stack + std::to_string(i + 1);
      stacks.add(wanted + ".q.weight", found + ".q.weight", {8, 8});
      stacks.add(wanted + ".k.weight", found + ".k.weight", {8, 8});
      stacks.add(wanted + ".b.bias", found + ".b.bias", {8});
    }
  }
  layouts.emplace_back("k before q", layered(4,
                                             {{"k_proj.weight", "key.weight"},
                                              {"q_proj.weight", "query.weight"},
                                              {"v_proj.weight", "value.weight"},
                                              {"o_proj.weight", "dense.weight"}},
                                             {8, 8}));
  layouts.emplace_back(
      "norms in the other order",
      layered(4, {{"norm2.weight", "ln_2.weight"}, {"norm1.weight", "ln_1.weight"}}, {8}));
  layouts.emplace_back("g and b", layered(1, {{"bias", "b"}, {"weight", "g"}}, {8}));
  layouts.emplace_back("scale and shift",
                       layered(1, {{"shift", "bias"}, {"scale", "weight"}}, {8}));
  Layout& swiglu = layouts.emplace_back("LLaMA's w1, w2, w3", Layout()).second;
  for (int i = 0; i < 4; ++i) {
    const std::string layer = "l." + std::to_string(i) + ".";
    swiglu.add(layer + "gate.weight", layer + "w1.weight", {16, 8});
    swiglu.add(layer + "down.weight", layer + "w2.weight", {8, 16});
    swiglu.add(layer + "up.weight", layer + "w3.weight", {16, 8});
  }
  Layout& even = layouts.emplace_back("every second layer", Layout()).second;
  for (int i = 0; i < 4; ++i)
    even.add("l." + std::to_string(i) + ".w", "l." + std::to_string(2 * i) + ".w", {8, 8});
  for (std::pair<const char*, Layout>& named : layouts) {
    CAPTURE(named.first);
    Layout& layout = named.second;
    // The module has its own order.
    std::ranges::stable_sort(layout.wanted, std::greater<>(), &Key::name);
    const Diagnosis diagnosis = diagnosed(layout.wanted, layout.found);
    const std::string text = diagnosis.text();
    CAPTURE(text);
    CHECK(joined(wrong_keys(layout.found, layout.truth, diagnosis.remedy)) == "");
    CHECK(diagnosed(layout.wanted, renamed(layout.found, diagnosis.remedy)).fits());
    CHECK(diagnosis.mended == layout.wanted.size());
  }
}

TEST_CASE("what goes by order says so") {
  const Diagnosis diagnosis =
      diagnosed(keys("l.0.w[3] l.1.w[3] l.2.w[3]"), keys("l.0.w[3] l.2.w[3] l.4.w[3]"));
  CHECK(causes_text(diagnosis) == "other_numbers(l.)2");
  CHECK(diagnosis.causes.front().text ==
        "the numbers below `l.` are others: by their order alone, 2 is wanted as 1 and so on");
}

TEST_CASE("renames of which one is as good as another are told and not proposed") {
  struct Row {
    const char* wanted;
    const char* found;
    const char* text;
  };
  const Row kRows[] = {
      {"c.weight[3,2] c.bias[3]", "a.weight[3,2] a.bias[3] b.weight[3,2] b.bias[3]",
       "`a.*` and `b.*` could each be wanted as `c.*`: their shapes are alike"},
      {"c.weight[3,2] c.bias[3] d.weight[3,2] d.bias[3]", "a.weight[3,2] a.bias[3]",
       "`a.*` could be wanted as `c.*` or as `d.*`: their shapes are alike"},
      {"w[3,2] b[3]", "student.w[3,2] student.b[3] teacher.w[3,2] teacher.b[3]",
       "`student.*` and `teacher.*` could each be wanted as `*`: their shapes are alike"},
  };
  for (const Row& row : kRows) {
    CAPTURE(row.found);
    const Diagnosis diagnosis = diagnosed(keys(row.wanted), keys(row.found));
    CHECK(diagnosis.remedy.empty());
    REQUIRE_FALSE(diagnosis.causes.empty());
    CHECK(diagnosis.causes.front().kind == Kind::kAmbiguous);
    CHECK(diagnosis.causes.front().text == row.text);
  }
}

TEST_CASE("a cast counts only for what convert casts") {
  const Diagnosis diagnosis =
      diagnosed(keys("a:float32 b:float32 c:float32 d:float32 e:float32"),
                keys("a:float16 b:float16 c:float16 d:int64 e:float8_e5m2"));
  CHECK(joined(diagnosis.remedy.arguments()) == "--dtype float32");
  CHECK(diagnosis.mended == 3);
}

TEST_CASE("a shape that is ignored is passed over") {
  const Diagnosis diagnosis =
      diagnosed(keys("a[2] b[3]"), keys("a[2] b[4]"), {.ignore_mismatched_sizes = true});
  CHECK(diagnosis.fits());
  CHECK(diagnosis.matched == 1);
  CHECK(diagnosis.passed_over == 1);
  CHECK(diagnosis.text() == "2 keys wanted, 2 found: 1 fit, 1 of another size, which is ignored");
}

TEST_CASE("long names are compared whole, and cost no more than they are long") {
  std::string dots;
  for (int i = 0; i < 128'000; ++i)
    dots += "1.";
  const Diagnosis diagnosis =
      diagnosed({{"same." + dots}, {"a." + dots + "x"}}, {{"same." + dots}, {"b." + dots + "x"}});
  CHECK(diagnosis.matched == 1);
  CHECK(diagnosis.missing.size() == 1);
  CHECK(diagnosis.unexpected.size() == 1);
  CHECK(diagnosis.remedy.empty());
}

TEST_CASE("many stacks that are all counted from another number are mended at once") {
  Keys wanted;
  Keys found;
  for (int stack = 0; stack < 100; ++stack) {
    for (int layer = 0; layer < 100; ++layer) {
      const std::string before = "stack" + std::to_string(stack) + ".layers.";
      wanted.push_back({before + std::to_string(layer) + ".w"});
      found.push_back({before + std::to_string(layer + 100) + ".w"});
    }
  }
  const Diagnosis diagnosis = diagnosed(wanted, found);
  CHECK(diagnosis.mended == wanted.size());
  CHECK(diagnosis.remedy.rename.size() == 100);
  const Keys after = renamed(found, diagnosis.remedy);
  CHECK(std::ranges::equal(after, wanted, {}, &Key::name, &Key::name));
}

TEST_CASE("what fits is told in one line") {
  const Keys all = bert(2);
  const Diagnosis diagnosis = diagnosed(all, all);
  CHECK(diagnosis.fits());
  CHECK(diagnosis.matched == all.size());
  CHECK(diagnosis.text() == "22 keys wanted, 22 found: 22 fit");
  CHECK(diagnosed({}, {}).fits());
}

TEST_CASE("missing and unexpected keys fit where it is not strict unless nothing is there") {
  const Keys wanted = keys("a b");
  CHECK_FALSE(diagnosed(wanted, keys("a c")).fits());
  CHECK(diagnosed(wanted, keys("a c"), {.strict = false}).fits());
  CHECK_FALSE(diagnosed(wanted, keys("c d"), {.strict = false}).fits());
  CHECK_FALSE(diagnosed(keys("a[2]"), keys("a[3]"), {.strict = false}).fits());
}

TEST_CASE("dtypes are compared unless the options say otherwise") {
  const Keys wanted = keys("a[2]:float32");
  const Keys found = keys("a[2]:float16");
  const Diagnosis diagnosis = diagnosed(wanted, found);
  REQUIRE(diagnosis.mismatched.size() == 1);
  CHECK(diagnosis.mismatched[0].dtype);
  CHECK_FALSE(diagnosis.mismatched[0].shape);
  CHECK(diagnosis.mismatched[0].text == "dtype float16 vs float32");
  CHECK(diagnosis.mended == 1);
  CHECK(diagnosed(wanted, found, {.check_dtypes = false}).fits());
}

TEST_CASE("a missing key has the one that takes its place beside it or one that is like it") {
  const Diagnosis diagnosis = diagnosed(keys("fc1.weight[3,2] fc2.weight[3,3] other[5]"),
                                        keys("fc1.wieght[3,2] fc2.weight[3,3] strange.thing[7]"));
  REQUIRE(diagnosis.missing.size() == 2);
  CHECK(diagnosis.missing[0].nearest == "fc1.wieght");
  CHECK(diagnosis.missing[1].nearest.empty());
  const Diagnosis prefix = diagnosed(keys("a b c"), keys("m.a m.b m.c"));
  CHECK(prefix.missing[2].nearest == "m.c");
}

TEST_CASE("no rename gives two keys one name") {
  // Without `module.`, `module.fc.weight` would be a second `fc.weight`.
  const Diagnosis diagnosis = diagnosed(keys("fc.weight[2] out.weight[2] out.bias[2]"),
                                        keys("fc.weight[2] module.fc.weight[2] "
                                             "module.out.weight[2] module.out.bias[2]"));
  const Keys after = renamed(keys("fc.weight module.fc.weight module.out.weight module.out.bias"),
                             diagnosis.remedy);
  std::set<std::string> names;
  for (const Key& key : after)
    names.insert(key.name);
  CHECK(names.size() == 4);
  CHECK(diagnosis.mended == 3);
}

TEST_CASE("the text quotes what a file says and is bounded") {
  Keys found;
  for (int i = 0; i < 1000; ++i)
    found.push_back({"\x1b[31m" + std::to_string(i * i)});
  const std::string text = diagnosed(keys("a"), found).text();
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("... and 990 more") != std::string::npos);
  const Remedy remedy{.strip_prefix = "\x1b'.", .rename = {{"a b.*", "*"}}};
  CHECK(remedy.command_text() == "--strip-prefix $'\\033\\'.' --rename 'a b.*=*'");
}

TEST_CASE("the text of a missing prefix says the way out") {
  const Diagnosis diagnosis = diagnosed(keys("a.weight b.weight"), keys("m.a.weight m.b.weight"));
  CHECK(diagnosis.text() == R"(2 keys wanted, 2 found: 0 fit, 2 missing, 2 unexpected
cause: the keys carry the prefix `m.`, which is not wanted (2 keys)
remedy: convert with --strip-prefix m.
  then all wanted keys fit
missing:
  `a.weight`, like `m.a.weight`
  `b.weight`, like `m.b.weight`
unexpected:
  `m.a.weight`
  `m.b.weight`)");
}

// The renames that real checkpoints come with.
std::vector<std::pair<const char*, Rename>> repertoire() {
  const auto prefixed = [](const std::string& prefix) {
    return [prefix](const std::string& name) { return prefix + name; };
  };
  const auto swapped = [](const std::string& from, const std::string& to) {
    return [from, to](const std::string& name) { return replaced(name, from, to); };
  };
  return {
      {"module", prefixed("module.")},
      {"compiled", prefixed("_orig_mod.")},
      {"peft", prefixed("base_model.model.")},
      {"fsdp layers", swapped("layer.", "layer._fsdp_wrapped_module.")},
      {"checkpointed attention", swapped("attention.", "attention._checkpoint_wrapped_module.")},
      {"gamma and beta",
       [](const std::string& name) {
         return replaced(replaced(name, "LayerNorm.weight", "LayerNorm.gamma"), "LayerNorm.bias",
                         "LayerNorm.beta");
       }},
      {"layers", swapped("encoder.layer.", "h.")},
      {"layers with more", swapped("encoder.layer.", "transformer.blocks.")},
      {"attention", swapped("attention.self", "attn")},
      {"parts of attention",
       [](const std::string& name) {
         return replaced(replaced(name, ".query.", ".q."), ".value.", ".v.");
       }},
      {"pooler", swapped("pooler", "pool")},
  };
}

TEST_CASE("what is proposed for renames at random makes everything fit") {
  std::mt19937 random(7);
  const auto renames = repertoire();
  for (int round = 0; round < 100; ++round) {
    Keys wanted = bert(1 + random() % 12, random() % 2 == 0 ? "" : "bert.");
    Keys found = wanted;
    std::string about;
    for (std::size_t i = 1 + random() % 3; i > 0; --i) {
      const auto& [name, rename] = renames[random() % renames.size()];
      about += std::string(name) + ", ";
      found = with_names(std::move(found), rename);
    }
    std::map<std::string, std::string> truth_of;
    for (std::size_t i = 0; i < found.size(); ++i)
      truth_of.emplace(found[i].name, wanted[i].name);
    if (random() % 3 == 0) std::ranges::sort(found, {}, &Key::name);
    if (random() % 3 == 0) std::ranges::shuffle(found, random);
    Truth truth;
    for (const Key& key : found)
      truth.push_back(truth_of.at(key.name));
    CAPTURE(round);
    CAPTURE(about);
    const Diagnosis diagnosis = diagnosed(wanted, found);
    const std::string text = diagnosis.text().substr(0, 600);
    CAPTURE(text);
    CHECK(joined(wrong_keys(found, truth, diagnosis.remedy)) == "");
    CHECK(diagnosed(wanted, renamed(found, diagnosis.remedy)).fits());
    CHECK(diagnosis.mended == wanted.size());
  }
}

TEST_CASE("a hundred thousand keys that all have other names are diagnosed") {
  const Keys wanted = bert(11111);
  REQUIRE(wanted.size() > 100'000);
  const Rename rename = repertoire()[6].second;
  const Keys found = with_names(
      wanted, [&](const std::string& name) { return "_orig_mod.module." + rename(name); });
  const Diagnosis diagnosis = diagnosed(wanted, found);
  CHECK(diagnosis.matched == 0);
  CHECK(diagnosis.mended == wanted.size());
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
