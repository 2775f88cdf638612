#!/usr/bin/env bash
# Runs every test twice: with address and undefined-behaviour sanitizers, and in a release build.
# Installs what is missing. The last line counts: `N passed, N failed`. CXX chooses the compiler.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

run_tests() {
  local -r directory=$1
  rm -f "$directory/results.xml"
  # What failed is in the results, which are counted at the end.
  ctest --test-dir "$directory" --parallel "$(nproc)" --no-tests=error --timeout 900 \
    --output-on-failure --test-output-size-passed 100000 \
    --output-junit "$PWD/$directory/results.xml" || true
}

test_flavour() {
  local -r preset=$1 directory=build/test-$1
  echo "== $preset: build"
  .ci/configure "$preset" "$directory"
  cmake --build "$directory" --parallel "$(nproc)"
  echo "== $preset: tests"
  run_tests "$directory"
}

.ci/install-deps build test
test_flavour asan
test_flavour release
.ci/count-results build/test-asan/results.xml build/test-release/results.xml
