#!/usr/bin/env bash
# run_gan.sh BINARIES: a GAN that was stopped after two epochs and started again ends like one that
# ran through.
set -euo pipefail
binaries=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

whole=$("$binaries/gan_train" --dir "$work/whole" --epochs 4 | tail -n 1)
"$binaries/gan_train" --dir "$work/parts" --epochs 2 >/dev/null
"$binaries/gan_train" --dir "$work/parts" --epochs 4 >"$work/second.log"
grep -qx 'resumed at epoch 2' "$work/second.log"
parts=$(tail -n 1 "$work/second.log")
echo "$whole"
echo "$parts"
[[ "$whole" == "final epoch=4 generator="* && "$whole" == "$parts" ]]
