// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "weightmap/result.h"

#include "demo/digits.h"

namespace weightmap::demo {

// The images that the network was not trained on, and what PyTorch makes of them.
struct HeldOut {
  std::vector<std::uint8_t> pixels;  // kPixels an image
  std::vector<std::uint8_t> labels;
  std::vector<float> logits;  // kClasses an image

  std::size_t count() const { return labels.size(); }
  Image image(std::size_t number) const { return Image(&pixels[number * kPixels], kPixels); }
};

// From the folder tests/data/digits. Errors: kIo, kCorrupt.
Result<HeldOut> read_held_out(const std::string& folder);

struct Score {
  std::uint32_t images = 0;
  std::uint32_t right = 0;
  float largest_difference = 0;  // from PyTorch's logits; infinite where there is no number
};

// Classifies every image. REQUIRES: the network is bound.
Score score(const Digits& network, const HeldOut& held_out);

}  // namespace weightmap::demo
