#!/usr/bin/env bash
# run_preemption.sh BINARIES DATA: a training run that is told to go, by SIGTERM and by SIGUSR1, ends in
# time with status 0 and a checkpoint of that very step; started again it ends like one that ran
# through.
set -euo pipefail
binaries=$(realpath "$1") data=$(realpath "$2")
work=$(mktemp -d)
pid=
trap '[[ -z "$pid" ]] || kill -KILL "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT

fail() { echo "run_preemption: $*" >&2; exit 1; }
train() { exec "$binaries/preemption_train" --data "$data" --epochs 4 --dir "$work/$1" "${@:2}"; }

# Starts the training, sends a signal after the given epoch's line, and leaves its status in `status`.
stop_after() {
  local epoch=$1 signal=$2 log=$3 started=$SECONDS
  shift 3
  train run "$@" >"$work/$log" &
  pid=$!
  until grep -q "^epoch $epoch " "$work/$log"; do
    kill -0 "$pid" 2>/dev/null || fail "ended before it could be told to: $(cat "$work/$log")"
    sleep 0.01
  done
  sleep "0.0$((RANDOM % 10))"
  started=$SECONDS
  kill "-$signal" "$pid"
  status=0
  wait "$pid" || status=$?
  pid=
  [[ $((SECONDS - started)) -le 20 ]] || fail "took $((SECONDS - started)) s to end"
  grep -qx 'stopped by a signal; all is saved' "$work/$log" || fail "$signal: $(cat "$work/$log")"
}

whole=$( (train whole) | tail -n 1)
[[ "$whole" == "final step="*" weights="* ]] || fail "the uninterrupted training ended with: $whole"

stop_after 0 TERM first.log
[[ $status == 0 ]] || fail "SIGTERM: status $status"
stop_after 2 USR1 second.log --stopped-status 75
[[ $status == 75 ]] || fail "SIGUSR1: status $status"
grep -q '^resumed from ' "$work/second.log" || fail "the second run did not resume"
parts=$( (train run) | tail -n 1)
echo "$whole"
echo "$parts"
[[ "$whole" == "$parts" ]] || fail "the two differ"
[[ -L "$work/run/best" ]] || fail "there is no link to the best"
