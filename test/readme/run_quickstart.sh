#!/usr/bin/env bash
# run_quickstart.sh QUICKSTART TORCH_CHECKPOINT: the README's example starts at 0, and, started
# again, where it ended.
set -euo pipefail
quickstart=$(realpath "$1") command_line=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

"$quickstart" | tee first.log
grep -qx 'starting at epoch 0' first.log
"$quickstart" | tee second.log
grep -qx 'starting at epoch 20' second.log
[[ "$(tail -n 1 first.log)" == "$(tail -n 1 second.log)" ]]
"$command_line" verify runs/quickstart
[[ "$(find runs/quickstart -mindepth 1 -maxdepth 1 -type d | wc -l)" == 3 ]]
