// SPDX-License-Identifier: Apache-2.0
#include "demo/held_out.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>

namespace weightmap::demo {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <typename T>
std::vector<T> elements(const std::string& bytes) {
  static_assert(std::endian::native == std::endian::little, "the files are little-endian");
  std::vector<T> result(bytes.size() / sizeof(T));
  if (!result.empty()) std::memcpy(result.data(), bytes.data(), result.size() * sizeof(T));
  return result;
}

float difference(float ours, float theirs) {
  const float difference = std::abs(ours - theirs);
  return std::isnan(difference) ? std::numeric_limits<float>::infinity() : difference;
}

}  // namespace

Result<HeldOut> read_held_out(const std::string& folder) {
  HeldOut result{.pixels = elements<std::uint8_t>(read_file(folder + "/images.bin")),
                 .labels = elements<std::uint8_t>(read_file(folder + "/labels.bin")),
                 .logits = elements<float>(read_file(folder + "/logits.bin"))};
  const std::size_t count = result.count();
  if (count == 0) return Error(ErrorCode::kIo, folder + ": no images.bin, labels.bin, logits.bin");
  if (result.pixels.size() != count * kPixels || result.logits.size() != count * kClasses) {
    return Error(ErrorCode::kCorrupt, folder + ": the files are not about the same images");
  }
  return result;
}

Score score(const Digits& network, const HeldOut& held_out) {
  Score score;
  for (std::size_t number = 0; number < held_out.count(); ++number) {
    const Logits logits = classify(network, held_out.image(number));
    const auto best = std::ranges::max_element(logits) - logits.begin();
    score.images += 1;
    score.right += best == held_out.labels[number] ? 1 : 0;
    for (std::size_t c = 0; c < kClasses; ++c) {
      score.largest_difference = std::max(
          score.largest_difference, difference(logits[c], held_out.logits[number * kClasses + c]));
    }
  }
  return score;
}

}  // namespace weightmap::demo
