#!/usr/bin/env bash
# test/device/mutants.sh [PATTERN]: breaks the library in each of the ways that mutants.txt lists, or those
# that match the pattern, and says whether device_test finds it. Works on a copy of this checkout, in
# build/mutants. Fails if a mutant lives, or can no longer be made. Takes a minute for each.
set -euo pipefail
cd "$(dirname "$0")/../.."
pattern=${1:-}
list=$PWD/test/device/mutants.txt
copy=$PWD/build/mutants
mkdir -p "$copy"
# What is unchanged keeps its time, so that a second call compiles little. A mutant that a killed call has
# left behind goes.
git ls-files -z | while IFS= read -r -d '' file; do
  [[ -L "$file" ]] || cmp -s "$file" "$copy/$file" || { mkdir -p "$copy/$(dirname "$file")" && cp -P "$file" "$copy/$file"; }
done
cd "$copy"

build() {
  scripts/build release device_test </dev/null >"$copy/build.log" 2>&1
}
one_passes() {
  timeout 120 build/release/test/device/device_test --abort "$@" >"$copy/test.log" 2>&1
}
# Fails at the first failure, or if a test hangs.
tests_pass() {
  SIMULATED_DEVICES=cuda:1,privateuseone:1 one_passes "[two-types]" &&
    one_passes "~[device-matrix]~[no-context]" && one_passes "[device-matrix]"
}

build || { cat "$copy/build.log"; exit 1; }
tests_pass || { cat "$copy/test.log"; echo "device_test fails without a mutant"; exit 1; }

found=0
alive=()
while IFS='|' read -r name file change; do
  name=$(xargs <<<"${name//\'/\\\'}") file=src/$(xargs <<<"$file") change=${change# }
  [[ -z "$pattern" || "$name" == *$pattern* ]] || continue
  cp -p "$file" "$copy/original"
  perl -0pi -e "$change" "$file"
  if cmp -s "$file" "$copy/original"; then
    alive+=("$name (it can no longer be made)")
  elif ! build; then
    alive+=("$name (it does not compile)")
  elif tests_pass; then
    alive+=("$name")
  else
    found=$((found + 1))
    printf 'found: %-70s %s\n' "$name" "$(grep -m 1 -A 2 '^----' "$copy/test.log" | sed -n 2p || true)"
  fi
  cp "$copy/original" "$file"
done < <(grep -v '^#\|^$' "$list")

[[ ${#alive[@]} == 0 ]] || printf 'ALIVE: %s\n' "${alive[@]}"
echo "$found found, ${#alive[@]} alive"
[[ ${#alive[@]} == 0 ]]
