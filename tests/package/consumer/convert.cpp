// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <weightmap/convert.h>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto report = weightmap::convert_checkpoint(argv[1], argv[2]);
  if (!report) {
    std::fprintf(stderr, "%s\n", report.error().message().c_str());
    return 1;
  }
  std::printf("%u tensors\n", report->tensor_count);
  return 0;
}
