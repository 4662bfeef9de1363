#!/usr/bin/env bash
# run_ddp.sh BINARIES DATA: several processes train together. One of them is killed, and all end. Started
# again, as many processes reach bit for bit what they would have reached without the kill; another number
# goes on from the same checkpoint. Passes without a look if the sample was not built, for lack of Gloo's
# headers; TORCH_CHECKPOINT_NEEDS_GLOO=1, as CI sets it, makes that a failure.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binaries=$(realpath "$1") data=$(realpath "$2")
run=$here/../../samples/ddp/run.sh
if [[ ! -x "$binaries/ddp_train" ]]; then
  echo "ddp_train was not built"
  [[ "${TORCH_CHECKPOINT_NEEDS_GLOO:-}" != 1 ]]
  exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# train RANKS DIRECTORY EPOCHS [OPTION...]
train() {
  local ranks=$1 directory=$2 epochs=$3
  shift 3
  "$run" "$ranks" "$binaries/ddp_train" --data "$data" --dir "$directory" --epochs "$epochs" --seed 1 "$@"
}
loss_of() { sed -n 's/.*loss=\([0-9.]*\).*/\1/p' "$1"; }

train 3 "$work/whole" 4 >"$work/whole.log"
cat "$work/whole.log"

train 3 "$work/killed" 4 --async >"$work/first.log" 2>"$work/first.err" &
training=$!
until grep -q '^epoch 1 ' "$work/first.log"; do
  kill -0 "$training" || { cat "$work/first.err"; exit 1; }
  sleep 0.02
done
pkill -KILL --newest --full "ddp_train .*--dir $work/killed"
if wait "$training"; then echo "the others did not notice that a rank was killed" >&2; exit 1; fi
cat "$work/first.log"
cp -r "$work/killed" "$work/fewer"

train 3 "$work/killed" 4 --async >"$work/second.log"
cat "$work/second.log"
grep -q '^resumed at epoch [12] on 3 ranks$' "$work/second.log"
[[ "$(tail -n 1 "$work/second.log")" == "$(tail -n 1 "$work/whole.log")" ]]
echo "killed and resumed, the weights are those of the run that was never killed"

train 2 "$work/fewer" 4 >"$work/fewer.log"
cat "$work/fewer.log"
grep -q '^resumed at epoch [12] on 2 ranks$' "$work/fewer.log"
# What was learned so far is there: the loss goes on from where it was.
awk -v loss="$(loss_of "$work/fewer.log")" -v whole="$(loss_of "$work/whole.log")" \
  'BEGIN { exit !(loss > 0 && loss < 2 * whole) }'
