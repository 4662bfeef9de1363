#!/usr/bin/env bash
# Compiles wrong calls of State::add: each must be answered by its own sentence, and by nothing else.
# run.sh COMPILER RESPONSE_FILE SOURCE
set -euo pipefail
compiler=$1 arguments=$2 source=$3
# clang++ stops after twenty errors.
all=-fmax-errors=0
[[ "$("$compiler" --version)" != *clang* ]] || all=-ferror-limit=0

if output=$(LC_ALL=C "$compiler" @"$arguments" "$all" -fsyntax-only "$source" 2>&1); then
  echo "it was compiled, and should not have been"
  exit 1
fi
errors=$(grep 'error: ' <<<"$output" || true)
mapfile -t wanted < <(sed -n 's/.*\/\/ => //p' "$source")

status=0
# Each kind of sentence as often as the source asks for it.
while IFS= read -r sentence; do
  asked=$(printf '%s\n' "${wanted[@]}" | grep -cxF -e "$sentence")
  given=$(grep -cF -e "$sentence" <<<"$errors" || true)
  if ((asked != given)); then
    echo "asked for $asked times, given $given times: $sentence"
    status=1
  fi
done < <(printf '%s\n' "${wanted[@]}" | sort -u)
total=$(wc -l <<<"$errors")
if ((total != ${#wanted[@]})); then
  echo "$total errors for ${#wanted[@]} wrong calls"
  status=1
fi
((status == 0)) || echo "$errors"
echo "${#wanted[@]} wrong calls"
exit $status
