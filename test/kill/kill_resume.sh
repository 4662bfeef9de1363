#!/usr/bin/env bash
# kill_resume.sh TRAINER DATA [--runs N] [--epochs E] [--seed S] [--command TORCH_CHECKPOINT]
#                [--optimizer O] [--async]
#
# Trains once without interruption. Then N times: trains, kills with SIGKILL at a random moment,
# starts again, until the training ends by itself. All must end with the same line. The moments
# cover start-up, training and saving; with the same seed they are drawn alike (the machine's own
# timing still differs). With --command, each directory is verified at the end as well.
set -euo pipefail

fail() { echo "kill_resume: $*" >&2; exit 1; }

[[ $# -ge 2 ]] || fail "usage: kill_resume.sh TRAINER DATA [--runs N] [--epochs E] [--seed S] [--command C] [--optimizer O] [--async]"
trainer=$1 data=$2
shift 2
runs=20 epochs=8 seed=$((EPOCHSECONDS % 32768)) command_line= trainer_options=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --runs) runs=$2 ;;
    --epochs) epochs=$2 ;;
    --seed) seed=$2 ;;
    --command) command_line=$2 ;;
    --optimizer) trainer_options+=(--optimizer "$2") ;;
    --async) trainer_options+=(--async); shift; continue ;;
    *) fail "no option is called $1" ;;
  esac
  shift 2
done
max_kills=200

work=$(mktemp -d)
pid=
cleanup() {
  [[ -z "$pid" ]] || kill -KILL "$pid" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

RANDOM=$seed
random_below() { drawn=$(((RANDOM * 32768 + RANDOM) % $1)); }  # no subshell: it would not advance RANDOM
microseconds() { now=${EPOCHREALTIME/[.,]/}; }
# Without a process of its own: to start one takes as long as half a save. Nothing ever comes to be read.
exec {never}<> <(:)
pause() {
  local seconds
  printf -v seconds '%d.%06d' $(($1 / 1000000)) $(($1 % 1000000))
  read -r -t "$seconds" -u "$never" || true
}
running() { kill -0 "$pid" 2>/dev/null; }

# In a subshell, which the trainer replaces: what is killed must be the trainer, not a shell around it.
train() { exec "$trainer" --data "$data" --epochs "$epochs" --seed 7 --every 1 --keep 2 --dir "$1" "${trainer_options[@]}"; }
# The hidden directories in DIR: a save in progress, or what a killed one left.
shopt -s nullglob
look_at_staging() {
  local found=("$1"/.[!.]*/)
  staging="${found[*]}"
}

# What a process that has just been killed was doing.
moment_of() {
  local dir=$1 log=$2 before=$3
  look_at_staging "$dir"
  if [[ "$staging" != "$before" ]]; then
    moment=saving
  elif ! grep -q '^epoch' "$log"; then
    moment=starting
  else
    moment=training
  fi
}

# Starts the training and kills it at a random moment. True if it ended by itself before.
start_and_kill() {
  local dir=$1 log=$2 aim=$3 before
  look_at_staging "$dir"
  before=$staging
  train "$dir" >"$log" &
  pid=$!
  if [[ "$aim" == saving ]]; then
    while running && [[ "$staging" == "$before" ]]; do look_at_staging "$dir"; done
    random_below 12000
  else
    random_below "$whole_time"
  fi
  pause "$drawn"
  kill -STOP "$pid" 2>/dev/null || true  # so that the moment is the one in which it dies
  moment_of "$dir" "$log" "$before"
  kill -KILL "$pid" 2>/dev/null || true
  local status=0
  wait "$pid" 2>/dev/null || status=$?
  pid=
  case $status in
    0) return 0 ;;
    137) return 1 ;;
    *) cat "$log" >&2; fail "the training ended with status $status" ;;
  esac
}

microseconds; started=$now
(train "$work/whole") >"$work/whole.log"
microseconds; whole_time=$((now - started))
expected=$(tail -n 1 "$work/whole.log")
[[ "$expected" == "final epoch=$epochs "*weights=* ]] || fail "the uninterrupted training ended with: $expected"
echo "seed $seed, $runs runs of $epochs epochs, uninterrupted $((whole_time / 1000)) ms"
echo "uninterrupted: $expected"

declare -A kills=([starting]=0 [training]=0 [saving]=0)
for ((run = 1; run <= runs; ++run)); do
  dir=$work/run$run killed=0
  aims=(anywhere saving anywhere)
  while true; do
    if start_and_kill "$dir" "$work/log" "${aims[killed % 3]}"; then
      [[ $killed == 0 ]] || break
      rm -rf "$dir"  # ended before it could be killed: not what is asked
      continue
    fi
    kills[$moment]=$((kills[$moment] + 1))
    killed=$((killed + 1))
    [[ $killed -lt $max_kills ]] || fail "run $run was killed $killed times and has not ended"
  done
  ended=$(tail -n 1 "$work/log")
  [[ "$ended" == "$expected" ]] || fail "run $run, killed $killed times (seed $seed), ended with: $ended"
  # A save sweeps what the killed ones left. The last start may have found all epochs done.
  look_at_staging "$dir"
  if grep -q '^epoch' "$work/log" && [[ -n "$staging" ]]; then
    fail "run $run left behind: $staging"
  fi
  [[ -z "$command_line" ]] || "$command_line" verify "$dir" >"$work/log" || { cat "$work/log"; fail "run $run: verify found damage"; }
  echo "run $run: killed $killed times, ended alike"
  rm -rf "$dir"
done
echo "killed while starting ${kills[starting]}, training ${kills[training]}, saving ${kills[saving]} times"
echo "$runs of $runs runs ended with ${expected##* }"
