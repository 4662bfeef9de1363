#!/usr/bin/env bash
# run_mpi.sh PROGRAM COMMAND: four processes that MPI starts save one checkpoint, and resume; what was
# interrupted ends as what was not. Then three go on. Passes without a look if the program was not built,
# for lack of MPI; TORCH_CHECKPOINT_NEEDS_MPI=1, as CI sets it, makes that a failure.
set -euo pipefail
program=$1 command=$2
if [[ ! -x "$program" ]] || ! command -v mpirun >/dev/null; then
  echo "there is no MPI here"
  [[ "${TORCH_CHECKPOINT_NEEDS_MPI:-}" != 1 ]]
  exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_plm_rsh_agent=false

# Its last line: before it comes the log.
train() { mpirun -n "$1" "$program" "$2" "$3" | tail -n 1; }
whole=$(train 4 "$work/whole" 6)
first=$(train 4 "$work/parts" 3)
second=$(train 4 "$work/parts" 6)
printf '%s\n' "$whole" "$first" "$second"
[[ "$first" == "began at 0, "* && "$second" == "began at 3, "* ]]
[[ "${whole#*, }" == "${second#*, }" ]]
"$command" verify "$work/parts"
ls "$work/parts"/*/
[[ -n "$(find "$work/parts" -name 'checkpoint-00003-of-00004.pt')" ]]
third=$(train 3 "$work/parts" 8)
echo "$third"
[[ "$third" == "began at 6, "* ]]
