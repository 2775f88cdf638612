// SPDX-License-Identifier: Apache-2.0
#include "demo/digits.h"

#include <algorithm>
#include <cmath>
#include <vector>

// A forward pass in plain loops, to show that the mapped bytes are used as they are. The weights
// are read in the order in which they lie in the file.
namespace weightmap::demo {
namespace {

constexpr float kEpsilon = 1e-5F;

// Square pictures, one a channel.
struct Planes {
  Planes(std::size_t plane_count, std::size_t width)
      : count(plane_count), side(width), values(plane_count * width * width) {}

  std::span<float> plane(std::size_t number) {
    return std::span(values).subspan(number * side * side, side * side);
  }
  std::span<const float> plane(std::size_t number) const {
    return std::span(values).subspan(number * side * side, side * side);
  }

  std::size_t count;
  std::size_t side;
  std::vector<float> values;
};

Planes input_of(Image image) {
  Planes input(1, 8);
  std::transform(image.begin(), image.end(), input.values.begin(),
                 [](std::uint8_t pixel) { return static_cast<float>(pixel) / 16.0F; });
  return input;
}

// The same pictures with a border of zeros.
Planes padded(const Planes& input) {
  Planes result(input.count, input.side + 2);
  for (std::size_t number = 0; number < input.count; ++number) {
    for (std::size_t row = 0; row < input.side; ++row) {
      const auto from = input.plane(number).subspan(row * input.side, input.side);
      std::copy(from.begin(), from.end(), &result.plane(number)[(row + 1) * result.side + 1]);
    }
  }
  return result;
}

// Adds a 3x3 kernel's answer at every place of one padded picture to `sums`.
void add_convolved(std::span<const float> kernel,
                   std::span<const float> padded_input,
                   std::size_t side,
                   std::span<float> sums) {
  for (std::size_t k = 0; k < kernel.size(); ++k) {
    for (std::size_t row = 0; row < side; ++row) {
      const float* from = &padded_input[(row + k / 3) * (side + 2) + k % 3];
      float* to = &sums[row * side];
      for (std::size_t column = 0; column < side; ++column) {
        to[column] += kernel[k] * from[column];
      }
    }
  }
}

Planes convolve(const Conv2d& layer, const Planes& input) {
  const Planes source = padded(input);
  Planes result(layer.bias.values().size(), input.side);
  std::span<const float> kernels = layer.weight.values();
  for (std::size_t out = 0; out < result.count; ++out) {
    std::ranges::fill(result.plane(out), layer.bias[out]);
    for (std::size_t in = 0; in < source.count; ++in) {
      add_convolved(kernels.first(9), source.plane(in), input.side, result.plane(out));
      kernels = kernels.subspan(9);
    }
  }
  return result;
}

void normalize(const BatchNorm2d& layer, Planes& planes) {
  for (std::size_t channel = 0; channel < planes.count; ++channel) {
    const float deviation = std::sqrt(layer.running_var[channel] + kEpsilon);
    for (float& value : planes.plane(channel)) {
      value = (value - layer.running_mean[channel]) / deviation * layer.weight[channel] +
              layer.bias[channel];
    }
  }
}

void relu(std::span<float> values) {
  for (float& value : values) {
    value = std::max(value, 0.0F);
  }
}

// The largest of every 2x2 square.
Planes pooled(const Planes& input) {
  Planes result(input.count, input.side / 2);
  for (std::size_t number = 0; number < input.count; ++number) {
    const auto from = input.plane(number);
    for (std::size_t place = 0; place < result.side * result.side; ++place) {
      const std::size_t corner = place / result.side * 2 * input.side + place % result.side * 2;
      result.plane(number)[place] =
          std::max({from[corner], from[corner + 1], from[corner + input.side],
                    from[corner + input.side + 1]});
    }
  }
  return result;
}

// input · weightᵀ + bias
void apply(const Linear& layer, std::span<const float> input, std::span<float> output) {
  std::span<const float> rows = layer.weight.values();
  for (std::size_t out = 0; out < output.size(); ++out) {
    float sum = layer.bias[out];
    for (std::size_t in = 0; in < input.size(); ++in) {
      sum += rows[in] * input[in];
    }
    output[out] = sum;
    rows = rows.subspan(input.size());
  }
}

}  // namespace

Logits classify(const Digits& network, Image image) {
  Planes first = convolve(network.conv1, input_of(image));
  normalize(network.bn1, first);
  relu(first.values);

  Planes second = convolve(network.conv2, first);
  normalize(network.bn2, second);
  relu(second.values);

  std::vector<float> hidden(network.hidden.bias.values().size());
  apply(network.hidden, pooled(second).values, hidden);
  relu(hidden);

  Logits logits{};
  apply(network.fc, hidden, logits);
  return logits;
}

}  // namespace weightmap::demo
