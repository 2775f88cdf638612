// SPDX-License-Identifier: Apache-2.0
// resave FROM TO [PREFIX]: the state dict of a weight file, below the prefix, as a weight file.
#include <cstdio>
#include <string>

#include "weightmap/save.h"
#include "weightmap/weight_file.h"

namespace {

int failed(const weightmap::Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  return 1;
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) return 2;
  const auto file = weightmap::WeightFile::open(words[1]);
  if (!file) return failed(file.error());
  const auto state_dict = file->state_dict(count > 3 ? words[3] : "");
  if (!state_dict) return failed(state_dict.error());
  const auto saved = weightmap::save(*state_dict, words[2]);
  return saved ? 0 : failed(saved.error());
}
