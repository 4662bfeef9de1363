#!/usr/bin/env bash
# run.sh installed|other_torch, as CTest calls it: builds a project of somebody else's that uses this
# library, and runs it.
# run.sh subdirectory TEST...: does that by add_subdirectory, which compiles all of the library anew, for
# minutes; so it also builds and runs the library's own tests of these names. For CI. The last line is
# "N passed, N failed".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
way=$1
tests=("${@:2}")
CMAKE=${CMAKE:-cmake}
export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
work=${TORCH_CHECKPOINT_BUILD:-$here/../../build}/consumer/$way
prefix=$work/prefix

fail() { echo "consumer $way: $*" >&2; exit 1; }

install_library() { "$CMAKE" --install "$TORCH_CHECKPOINT_BUILD" --prefix "$prefix" >/dev/null; }

# Configures the project in this folder's subfolder $1. -O0, unless the options that follow say otherwise:
# it is about whether it builds.
configure() {
  "$CMAKE" -S "$here/$1" -B "$work/build" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG= "${@:2}"
}

# Builds the consumer, and the targets named.
build_and_run() {
  "$CMAKE" --build "$work/build" --parallel "$(nproc)" --target consumer "$@"
  (cd "$work" && rm -rf checkpoints && build/consumer checkpoints)
}

run_tests() {
  local status=0
  ctest --test-dir "$work/build" --no-tests=error --output-on-failure --parallel "$(nproc)" \
    -R "^($(IFS='|' && echo "$*"))\$" || status=1
  awk -f "$here/../../scripts/count_cases.awk" \
    "$work/build/Testing/Temporary/LastTest.log" || status=1
  return "$status"
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
    configure subdirectory -DCMAKE_BUILD_TYPE=Release -DTORCH_CHECKPOINT_BUILD_TESTS=ON \
      -DTORCH_CHECKPOINT_WERROR=ON
    build_and_run "${tests[@]/%/_test}"
    run_tests "${tests[@]}"
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
