#!/usr/bin/env bash
# The slow tests: tests/slow/run.sh [WEIGHTMAP]. Files of several GiB lie in build/slow meanwhile.
# The command line is that of the release build of tools/test.sh unless named. SOAK_SECONDS is how
# long readers and a publisher work, 60 unless set.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
weightmap=$(realpath "${1:-$root/build/test-release/tools/weightmap}")
sharing_stress=$root/build/test-release/tests/sharing/sharing_stress
readonly root weightmap sharing_stress

export PYTHONDONTWRITEBYTECODE=1
mkdir -p "$root/build/slow"
python3 "$root/tests/slow/large_files_test.py" "$weightmap" "$root/build/slow"
TMPDIR=$root/build/slow "$sharing_stress" kills 10000
TMPDIR=$root/build/slow "$sharing_stress" soak "${SOAK_SECONDS:-60}"
