#!/usr/bin/env bash
# run.sh installed|subdirectory|other_torch, as CTest calls it: builds a project of somebody else's
# that uses this library, and runs it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
way=$1
work=$TORCH_CHECKPOINT_BUILD/consumer/$way
prefix=$work/prefix

fail() { echo "consumer $way: $*" >&2; exit 1; }

install_library() { "$CMAKE" --install "$TORCH_CHECKPOINT_BUILD" --prefix "$prefix" >/dev/null; }

# Configures the project in this folder's subfolder $1. -O0: it is about whether it builds.
configure() {
  "$CMAKE" -S "$here/$1" -B "$work/build" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG= "${@:2}"
}

build_and_run() {
  "$CMAKE" --build "$work/build" --parallel "$(nproc)"
  (cd "$work" && rm -rf checkpoints && build/consumer checkpoints)
}

rm -rf "$work"
mkdir -p "$work"
case $way in
  installed)
    install_library
    configure installed "-DCMAKE_PREFIX_PATH=$prefix"
    build_and_run
    "$prefix/bin/torch-checkpoint" verify "$work/checkpoints"
    ;;
  subdirectory)
    CXXFLAGS='' configure subdirectory
    build_and_run
    ;;
  other_torch)
    install_library
    if configure installed "-DCMAKE_PREFIX_PATH=$here/other_torch;$prefix" >"$work/log" 2>&1; then
      fail "the package accepts LibTorch 9.9"
    fi
    tr -s '[:space:]' ' ' <"$work/log" | grep -F 'LibTorch 9.9.0 was found' ||
      { cat "$work/log"; fail "the package does not say that LibTorch 9.9.0 is another one"; }
    ;;
  *) fail "no such way" ;;
esac
