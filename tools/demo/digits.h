// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "weightmap/module.h"

namespace weightmap::demo {

// PyTorch's layers, as far as their state goes: the same slots under the same names. The
// convolution has 3x3 kernels, stride 1, zero padding 1.
struct Conv2d : Module {
  Conv2d(Module& parent, std::string_view name, std::int64_t in, std::int64_t out)
      : Module(parent, name),
        weight(*this, "weight", {out, in, 3, 3}),
        bias(*this, "bias", {out}) {}

  Parameter<float> weight, bias;
};

struct BatchNorm2d : Module {
  BatchNorm2d(Module& parent, std::string_view name, std::int64_t channels)
      : Module(parent, name),
        weight(*this, "weight", {channels}),
        bias(*this, "bias", {channels}),
        running_mean(*this, "running_mean", {channels}),
        running_var(*this, "running_var", {channels}),
        num_batches_tracked(*this, "num_batches_tracked", {}) {}

  Parameter<float> weight, bias;
  Buffer<float> running_mean, running_var;
  Buffer<std::int64_t> num_batches_tracked;
};

struct Linear : Module {
  Linear(Module& parent, std::string_view name, std::int64_t in, std::int64_t out)
      : Module(parent, name), weight(*this, "weight", {out, in}), bias(*this, "bias", {out}) {}

  Parameter<float> weight, bias;
};

// The classifier of tests/data/digits/README.md.
struct Digits : Module {
  Digits() { register_module("head", fc); }  // one layer under two names, as in the checkpoint

  Conv2d conv1{*this, "conv1", 1, 32};
  BatchNorm2d bn1{*this, "bn1", 32};
  Conv2d conv2{*this, "conv2", 32, 64};
  BatchNorm2d bn2{*this, "bn2", 64};
  Linear hidden{*this, "hidden", 1024, 144};
  Linear fc{*this, "fc", 144, 10};
};

inline constexpr std::size_t kPixels = 64;
inline constexpr std::size_t kClasses = 10;

using Image = std::span<const std::uint8_t, kPixels>;  // 8 rows of 8, each pixel from 0 to 16
using Logits = std::array<float, kClasses>;

// The network's output in evaluation mode. REQUIRES: the network is bound.
Logits classify(const Digits& network, Image image);

}  // namespace weightmap::demo
