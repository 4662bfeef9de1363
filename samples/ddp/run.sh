#!/usr/bin/env bash
# run.sh N PROGRAM...: starts a program N times on this machine, as torchrun does: with RANK,
# WORLD_SIZE, MASTER_ADDR and MASTER_PORT. If one of them fails, ends the others.
set -euo pipefail
size=${1:?how many processes}
shift

# A port that nobody uses, out of those that the system does not give out by itself.
free_port() {
  local port
  for ((port = 20000 + RANDOM % 10000; ; ++port)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

export WORLD_SIZE=$size MASTER_ADDR=127.0.0.1
MASTER_PORT=$(free_port)
export MASTER_PORT
ranks=()
trap 'kill -KILL "${ranks[@]}" 2>/dev/null || true' EXIT
for ((rank = 0; rank < size; ++rank)); do
  RANK=$rank "$@" &
  ranks+=($!)
done
for ((rank = 0; rank < size; ++rank)); do
  wait -n || { status=$?; echo "run.sh: a rank ended with status $status" >&2; exit 1; }
done
