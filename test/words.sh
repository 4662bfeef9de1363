#!/usr/bin/env bash
# test/words.sh [ROOT]: fails on words that make a sentence hard to read (CONTRIBUTING.md, "Style"): in
# the public headers, and in the texts of errors, logs and help in src/ and checkpoint/.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

words='\b(is|are|be|has|have|of) none\b|\b(is|are|be) no\b|\bwhoever\b|\banew\b|\batop\b|\btold\b|\bgoes on\b|\bgo on\b|\bis to\b|\bare to\b|\bmeanwhile\b|\bsomebody\b|\bnobody\b|\bin hand\b|\bstands?\b|\bbeside\b|\bfigures?\b|\ball the same\b'

# FILE:LINE:TEXT of each string literal with a blank in it: a sentence, and not a name.
strings() {
  grep -nHoE '"([^"\\]|\\.)* ([^"\\]|\\.)*"' "$@" | grep -v '#include'
}

found=$(
  {
    grep -nHE '///' include/checkpoint/*.h
    strings include/checkpoint/*.h
    find src checkpoint -name '*.cpp' -o -name '*.h' -o -name '*.in' | sort | while read -r file; do strings "$file" || true; done
  } | grep -E "$words" || true
)
if [[ -n $found ]]; then
  printf '%s\n' "$found"
  echo "test/words.sh: $(wc -l <<<"$found") lines use words that CONTRIBUTING.md's style avoids" >&2
  exit 1
fi
echo "no such words"
