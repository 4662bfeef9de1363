#!/usr/bin/env bash
# run.sh EXCHANGE: C++ reads what Python writes, Python reads what C++ writes, and both compare bit for
# bit. Skipped (77) where Python has no PyTorch or no safetensors.
set -euo pipefail
exchange=$1
here=$(cd "$(dirname "$0")" && pwd)

python=$(command -v python3 || true)
if [[ -z "$python" ]] || ! "$python" -c 'import torch, safetensors.torch' 2>/dev/null; then
  echo "skipped: needs the packages python3-torch and python3-safetensors"
  [[ -z "${TORCH_CHECKPOINT_NEEDS_PYTHON:-}" ]] || exit 1
  exit 77
fi
"$python" -c 'import sys, torch; print("Python", sys.version.split()[0], "PyTorch", torch.__version__)'

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" "$here/trees.py" write "$scratch/python"
"$exchange" check "$scratch/python"
"$exchange" write "$scratch/cpp"
"$python" "$here/trees.py" check "$scratch/cpp"
