#!/usr/bin/env bash
# test/missing_packages.sh CMAKE: on a system that lacks several packages, one message names them all,
# as Debian calls them.
set -euo pipefail
cmake=$1
source=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() { echo "missing_packages.sh: $1"; cat "$scratch/output"; exit 1; }

# lacking PACKAGE...: configures as on a system without these.
lacking() {
  local lacks=() package
  for package in "$@"; do lacks+=("-DCMAKE_DISABLE_FIND_PACKAGE_$package=ON"); done
  rm -rf "$scratch/build"
  if "$cmake" -G Ninja -S "$source" -B "$scratch/build" "${lacks[@]}" -DTORCH_CHECKPOINT_BUILD_BENCH=OFF \
    >"$scratch/output" 2>&1; then
    fail "it configures without ${*}"
  fi
}

names() { grep -qF -- "$1" "$scratch/output" || fail "the message does not name '$1'"; }
leaves_out() { ! grep -qF -- "$1" "$scratch/output" || fail "the message names '$1'"; }

lacking Torch nlohmann_json xxHash CLI11 Catch2
names "xxHash 0.8 or later: Debian's libxxhash-dev"
names "scripts/packages"
names "apt-get install --no-install-recommends libtorch-dev nlohmann-json3-dev libxxhash-dev libcli11-dev catch2"
leaves_out libspdlog-dev
leaves_out libdeflate-dev

lacking spdlog libdeflate
names "apt-get install --no-install-recommends libspdlog-dev libdeflate-dev"
leaves_out libtorch-dev
