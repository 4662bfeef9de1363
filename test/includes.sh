#!/usr/bin/env bash
# test/includes.sh: every #include between two folders of src/ is one that the table in
# docs/architecture.md allows, and every permission there is in use. So the map cannot lie.
set -euo pipefail
cd "$(dirname "$0")/.."

# Of a row "| `store/io` | its job | `base` |": the folder, then the folders that it may include.
rules() {
  sed -n '/^| folder | job | may include |$/,/^$/p' docs/architecture.md | tail -n +3 |
    awk -F'|' 'NF > 3 { gsub(/[` ]/, "", $2); gsub(/[`,]/, "", $4); print $2, $4 }'
}

# The folder, the folder that is included, the file, the file that is included.
includes() {
  grep -rnoE --include='*.h' --include='*.cpp' '^#include "[^"]+"' src |
    sed -E 's/^src\/([^:]+):[0-9]+:#include "([^"]+)"/\1 \2/' |
    awk '{ from = $1; to = $2; sub(/\/[^\/]*$/, "", from); sub(/\/[^\/]*$/, "", to)
           if (from != to) print from, to, $1, $2 }'
}

includes | awk '
  NR == FNR { known[$1] = 1; for (i = 2; i <= NF; ++i) allowed[$1, $i] = 1; next }
  !($1 in known) { print "src/" $3 ": docs/architecture.md does not name the folder " $1; bad = 1; next }
  !(($1, $2) in allowed) { print "src/" $3 ": " $1 " must not include " $2 " (" $4 ")"; bad = 1; next }
  { used[$1, $2] = 1; ++count }
  END {
    for (pair in allowed) if (!(pair in used)) {
      split(pair, part, SUBSEP)
      print "docs/architecture.md: " part[1] " includes nothing of " part[2]
      bad = 1
    }
    if (count < 100) { print "too few includes were found: " count; bad = 1 }
    print count " includes between folders"
    exit bad
  }' <(rules) -
