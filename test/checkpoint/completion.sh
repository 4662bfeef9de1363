#!/usr/bin/env bash
# completion.sh PROGRAM: what bash would offer, as the completion's own function answers.
set -euo pipefail
program=$(realpath "$1")
source "$(dirname "$0")/../../checkpoint/completions/torch-checkpoint.bash"

# offers WORDS... (the last one is being typed): what is offered, in one line.
offers() {
  COMP_WORDS=("$program" "$@") COMP_CWORD=$# COMPREPLY=()
  _torch_checkpoint
  echo "${COMPREPLY[*]}"
}
fail() { echo "completion.sh: $*" >&2; exit 1; }
expect() {
  local wanted=$1 found
  shift
  found=$(offers "$@")
  [[ $found == "$wanted" ]] || fail "for '$*': '$found', not '$wanted'"
}

expect "--help --version list show verify pin unpin prune remove report diff convert" ""
expect "prune" pr
expect "--dry-run" prune --d
expect "--item" convert --it
expect "" list runs
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder"/{one,two,three}
touch "$folder"/{one,two}/manifest.json
expect "one two" pin "$folder/" ""
expect "two" unpin "$folder" t
expect "two" remove "$folder" t
expect "two" unpin "$folder" one t

# A name is data, whatever it looks like: nothing in it is run or split, and it comes quoted.
cd "$folder"
for path in odd/{'$(touch RAN)','`touch RAN`','two words'} 'my runs/one'; do
  mkdir -p "$path"
  touch "$path/manifest.json"
done
expect '\$\(touch\ RAN\) \`touch\ RAN\` two\ words' pin odd ""
expect 'two\ words' pin odd "two w"
expect 'two\ words' pin odd 'two\ w'
expect "one" pin 'my\ runs' ""
[[ ! -e RAN ]] || fail "a directory's name was run"
echo "all as expected"
