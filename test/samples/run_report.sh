#!/usr/bin/env bash
# run_report.sh BINARIES DATA COMMAND: the page of a run that was resumed once holds every save, also
# those that retention has removed; a browser draws its curves, and lays it out well on a phone and
# wider. Without Chromium only the page's text is looked at; TORCH_CHECKPOINT_NEEDS_CHROMIUM=1, as CI
# sets it, makes that a failure.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binaries=$(realpath "$1") data=$(realpath "$2") command=$(realpath "$3")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for epochs in 4 7; do
  "$binaries/digits_train" --data "$data" --dir "$work/run" --epochs "$epochs" --seed 1 --keep 2 >/dev/null
done
page=$work/report.html
[[ "$("$command" report "$work/run" -o "$page")" == "$page" ]]

saves=$(grep -o '"kept":' "$page" | wc -l)
kept=$(grep -o '"kept":true' "$page" | wc -l)
echo "$saves saves, $kept kept"
[[ $saves == 7 && $kept -ge 2 && $kept -lt 7 ]]
grep -q '"resumed_from":true' "$page"
if grep -Eq '(src|href)=' "$page"; then echo "the page is not all in one file" >&2; exit 1; fi

chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [[ -z "$chromium" ]]; then
  echo "no Chromium here: the curves were not looked at"
  [[ "${TORCH_CHECKPOINT_NEEDS_CHROMIUM:-}" != 1 ]]
  exit
fi
# drawn PAGE: its elements, once its scripts have run.
drawn() {
  timeout 120 "$chromium" --headless --no-sandbox --disable-gpu --no-first-run --disable-quic \
    --disable-background-networking --disable-component-update --disable-sync \
    --user-data-dir="$work/browser" --window-size=1200,1000 --virtual-time-budget=5000 \
    --dump-dom "file://$1" 2>/dev/null
}
# What the page has drawn, counted by a script that is added to a copy of it: the pixels of each chart
# that have the colour of a line, of a bar or of a mark.
cat "$page" - >"$work/counted.html" <<'END'
<script>
addEventListener("load", () => setTimeout(() => {
  const colours = ["run0", "run1", "kept", "best", "resumed", "gone"].map((name) => {
    const pixel = document.createElement("canvas").getContext("2d");
    pixel.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
    pixel.fillRect(0, 0, 1, 1);
    return [name, pixel.getImageData(0, 0, 1, 1).data.slice(0, 3).join()];
  });
  document.querySelectorAll(".chart").forEach((chart) => {
    const canvas = chart.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const count = {};
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] !== 255) continue;
      const colour = `${data[i]},${data[i + 1]},${data[i + 2]}`;
      count[colour] = (count[colour] || 0) + 1;
    }
    const line = document.createElement("p");
    line.textContent = `drawn ${chart.querySelector("h3").textContent.replaceAll(" ", "_")} ` +
      colours.map(([name, colour]) => `${name}=${count[colour] || 0}`).join(" ");
    document.body.append(line);
  });
}, 500));
</script>
END
drawn "$work/counted.html" >"$work/dom"
grep -o 'drawn [^<]*' "$work/dom" | tee "$work/drawn"

# at_least CHART COLOUR PIXELS
at_least() {
  local found
  found=$(sed -n "s/^drawn $1 .*\b$2=\([0-9]*\).*/\1/p" "$work/drawn")
  [[ "${found:-0}" -ge $3 ]] || { echo "$1: ${found:-no} pixels of $2, not $3" >&2; exit 1; }
}
for chart in loss_over_epochs accuracy_over_epochs; do
  at_least "$chart" run0 100    # the lines of both runs
  at_least "$chart" run1 100
  at_least "$chart" best 10     # and a mark of each kind
  at_least "$chart" resumed 10
  at_least "$chart" gone 10
done
at_least size,_save_by_save kept 1000
at_least time,_save_by_save kept 500
grep -q '<span class="mark best">' "$work/dom"

# Names may come again: what is the latest and the best is told by sequence, and is one save each.
sed 's/"name":"[^"]*"/"name":"again"/g' "$page" >"$work/again.html"
drawn "$work/again.html" >"$work/again"
for mark in latest best; do
  marked=$(grep -o "<span class=\"mark $mark\">" "$work/again" | wc -l)
  [[ $marked == 1 ]] || { echo "$marked saves are marked as $mark" >&2; exit 1; }
done

# How it is laid out, with these and with other data, on a phone and wider: labels, tiles, charts.
sed "/<script id=\"data\"/r $here/report_layout.html" "$page" >"$work/layout.html"
cp "$here/report_frames.html" "$work/frames.html"
drawn "$work/frames.html" | grep -oE '<p>(looked at|fault of) [^<]*' | sed 's/^<p>//' >"$work/layout"
looked_at=$(grep -c '^looked at' "$work/layout" || true)
echo "laid out $looked_at times"
[[ $looked_at == 45 ]]
grep -q '^looked at as_it_is, 390 wide: 4 charts' "$work/layout"
if grep '^fault of' "$work/layout" >&2; then exit 1; fi
