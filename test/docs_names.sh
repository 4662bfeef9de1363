#!/usr/bin/env bash
# Every test that docs/libtorch-traps.md names must be there: whole, or with "…" for what it leaves out.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t tests < <(grep -rhoP --include='*_test.cpp' 'TEST_CASE\(\s*"\K[^"]*' test)

exists() {
  local wanted=$1 name
  if [[ "$wanted" == *.cpp ]]; then
    [[ -f "test/$wanted" ]]
    return
  fi
  local before=${wanted%%…*} after=
  [[ "$wanted" == *…* ]] && after=${wanted#*…}
  for name in "${tests[@]}"; do
    if [[ "$wanted" == *…* ]]; then
      [[ "$name" == "$before"*"$after" ]] && return
    else
      [[ "$name" == "$wanted" ]] && return
    fi
  done
  return 1
}

rows() { sed -n '/^| LibTorch | here | test |$/,/^$/p' docs/libtorch-traps.md | grep -v -e '^| ---' -e '^| LibTorch' -e '^$'; }

status=0
if rows | awk -F'|' '$(NF - 1) !~ /`|the same/' | grep .; then
  echo "docs/libtorch-traps.md: the rows above name no test"
  status=1
fi
checked=0
while IFS= read -r wanted; do
  checked=$((checked + 1))
  exists "$wanted" || { echo "docs/libtorch-traps.md names a test that is not there: $wanted"; status=1; }
done < <(rows | awk -F'|' '{print $(NF - 1)}' | grep -o '`[^`]*`' | tr -d '`')
echo "$checked names checked"
(( checked > 40 )) || { echo "too few names were found"; status=1; }
exit $status
