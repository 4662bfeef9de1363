#!/usr/bin/env bash
# run_finetune.sh BINARIES DATA: a trained backbone with a new head learns another task at once.
set -euo pipefail
binaries=$(realpath "$1") data=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$binaries/digits_train" --data "$data" --dir "$work/run" --epochs 3 --seed 1 >/dev/null
"$binaries/digits_finetune" --data "$data" --from "$work/run/latest" --epochs 3 | tee "$work/log"
grep -q 'classifier.4.weight: shape \[2, 128\] here, \[10, 128\] saved' "$work/log"
accuracy=$(sed -n 's/^epoch 2 accuracy //p' "$work/log")
awk -v accuracy="$accuracy" 'BEGIN { exit !(accuracy > 0.9) }'
