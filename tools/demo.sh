#!/usr/bin/env bash
# Installs what is missing, builds a release, and shows the main job on a real checkpoint: convert
# it, look into it, verify it, let four processes use it at once, and publish a better one while four
# are at work. Fails if any check does.
# CXX chooses the compiler.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

readonly build=build/demo
readonly weightmap=$build/tools/weightmap
readonly digits=tests/data/digits

quietly() {
  local -r log=$build.log
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    return 1
  fi
}

build_release() {
  echo "building a release in $build"
  mkdir -p build
  quietly .ci/configure release "$build" -DWEIGHTMAP_BUILD_TESTS=OFF
  quietly cmake --build "$build" --parallel "$(nproc)"
}

show() {
  echo
  echo "\$ $*"
  "$@"
}

.ci/install-deps build
build_release
show "$weightmap" convert "$digits/digits.pt" "$build/digits.wmap"
show "$weightmap" inspect "$build/digits.wmap"
show "$weightmap" verify "$build/digits.wmap"
show "$build/tools/demo/weightmap_demo" "$build/digits.wmap" "$digits"
show "$build/tools/demo/weightmap_demo" --publish "$build/digits.wmap" "$digits"
