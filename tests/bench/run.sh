#!/usr/bin/env bash
# Runs benchmarks and prints their table: tests/bench/run.sh [--quick] [NAME...]. Names are those of
# the table, or beginnings of them; none: all. --quick leaves out what takes long.
# Builds a release with the rivals in build/bench, and keeps inputs and results.json there.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly root build=$root/build/bench

cd "$root"
.ci/install-deps build bench
.ci/configure release "$build" -D WEIGHTMAP_BUILD_BENCH=ON -D WEIGHTMAP_BUILD_TESTS=OFF >/dev/null
cmake --build "$build" --parallel "$(nproc)" \
  --target weightmap_tool make_inputs bench_open bench_micro >&2
PYTHONDONTWRITEBYTECODE=1 exec python3 tests/bench/suite.py "$build" "$@"
