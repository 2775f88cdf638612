#!/usr/bin/env bash
# The slow tests: tests/slow/run.sh [WEIGHTMAP]. Files of several GiB lie in build/slow meanwhile.
# The command line is that of the release build of tools/test.sh unless named.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
weightmap=$(realpath "${1:-$root/build/test-release/tools/weightmap}")
readonly root weightmap

export PYTHONDONTWRITEBYTECODE=1
mkdir -p "$root/build/slow"
python3 "$root/tests/slow/large_files_test.py" "$weightmap" "$root/build/slow"
