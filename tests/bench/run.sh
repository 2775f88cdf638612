#!/usr/bin/env bash
# Runs benchmarks and prints their table: tests/bench/run.sh [OPTION]... [NAME]...; --help tells more.
# Builds a release with the rivals in build/bench, and keeps inputs and results.json there.
# WEIGHTMAP_TORCH_PYTHON names the interpreter that has torch and safetensors.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root build=$root/build/bench

cd "$root"
.ci/install-deps build bench >&2
.ci/configure release "$build" -D WEIGHTMAP_BUILD_BENCH=ON -D WEIGHTMAP_BUILD_TESTS=OFF >/dev/null
cmake --build "$build" --parallel "$(nproc)" --target bench >&2
exec python3 -B tests/bench/suite.py "$build" "$@"
