#!/usr/bin/env bash
# run_evaluate.sh BINARIES DATA: an evaluator follows a training run from another process, and leaves
# no trace in its directory.
set -euo pipefail
binaries=$(realpath "$1") data=$(realpath "$2")
work=$(mktemp -d)
evaluator=
trap 'kill "$evaluator" 2>/dev/null || true; rm -rf "$work"' EXIT

timeout 300 "$binaries/digits_evaluate" --data "$data" --dir "$work/run" --until-epoch 4 --every 0.05 \
  >"$work/log" &
evaluator=$!
"$binaries/digits_train" --data "$data" --dir "$work/run" --epochs 4 --seed 1 --keep 2 >/dev/null
wait "$evaluator"
cat "$work/log"
grep -q '^epoch0003 accuracy 0\.' "$work/log"
[[ "$(ls -A "$work/run" | sort | tr '\n' ' ')" == ".lock epoch0002 epoch0003 history.jsonl latest " ]]
