"use strict";
(() => {
  // What torch-checkpoint has gathered (report.cpp): `points`, oldest first, are all saves that are
  // known; those that retention has removed are known from history.jsonl alone.
  const data = JSON.parse(document.getElementById("data").textContent);
  const points = data.points;
  const number = (value) => (typeof value === "number" ? value : NaN);  // "nan", "inf": no place in a chart
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  // ---- elements and texts

  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const bytesText = (bytes) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (bytes >= 1024 && unit + 1 < units.length) { bytes /= 1024; ++unit; }
    return (unit ? bytes.toFixed(1) : bytes) + " " + units[unit];
  };
  const secondsText = (value) => (Number.isFinite(number(value)) ? number(value).toPrecision(3) + " s" : "–");
  const valueText = (value) => (typeof value === "number" ? String(+value.toPrecision(6)) : value ?? "–");
  const timeText = (utc) => utc.replace("T", " ").replace("Z", " UTC");
  const metricOf = (point, metric) => (metric === "loss" ? point.progress.loss : point.progress.metrics[metric]);
  // Epochs count from 0; one that is done stands at its end.
  const epochsDone = (point) => point.progress.epoch + (point.progress.epoch_done ? 1 : 0);

  // ---- what each checkpoint is

  const runIds = [...new Set(points.map((point) => point.run_id))];
  const bySequence = new Map(points.map((point) => [point.sequence, point]));
  // By sequence: names may come again, and then those that are gone have them too.
  const isLatest = (point) => point.kept && point.sequence === data.latest_sequence;
  const isBest = (point) => point.kept && point.sequence === data.best_sequence;
  const marksOf = (point) => {
    const marks = [];
    if (isLatest(point)) marks.push("latest");
    if (isBest(point)) marks.push("best");
    if (point.resumed_from) marks.push("resumed");
    if (point.pinned) marks.push("pinned");
    if (!point.kept) marks.push("removed");
    return marks;
  };
  const markText = { latest: "latest", best: "best", resumed: "resumed from", pinned: "pinned", removed: "removed" };

  // ---- shapes: the same ones in the charts and in the legend

  const shapes = {
    gone: (path, x, y, r) => path.arc(x, y, r * 0.7, 0, 2 * Math.PI),
    kept: (path, x, y, r) => path.arc(x, y, r, 0, 2 * Math.PI),
    resumed: (path, x, y, r) => {
      const d = r * 1.5;
      path.moveTo(x, y - d); path.lineTo(x + d, y); path.lineTo(x, y + d); path.lineTo(x - d, y); path.closePath();
    },
    best: (path, x, y, r) => {
      for (let i = 0; i < 10; ++i) {
        const radius = i % 2 ? r * 0.9 : r * 2, angle = (i * Math.PI) / 5 - Math.PI / 2;
        path.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
      }
      path.closePath();
    },
  };
  const shapeOf = (point) =>
    isBest(point) ? "best" : point.resumed_from ? "resumed" : point.kept ? "kept" : "gone";

  // ---- charts

  const x = points.map((point) => (data.x === "step" ? point.progress.step : epochsDone(point)));
  const order = points.map((_, i) => i).sort((a, b) => x[a] - x[b] || a - b);
  const xs = order.map((i) => x[i]);

  // One line a run. A run that was resumed begins at the checkpoint it was resumed from.
  const linesOf = (value) => runIds.map((run) => {
    const first = points.find((point) => point.run_id === run);
    const parent = bySequence.get(first.parent_sequence);
    return order.map((i) => {
      const point = points[i];
      const y = value(point);
      return (point.run_id === run || point === parent) && Number.isFinite(y) ? y : null;
    });
  });

  const drawMarks = (value) => (chart) => {
    const context = chart.ctx, r = 3.5 * devicePixelRatio;
    context.save();
    for (const i of order) {
      const y = value(points[i]);
      if (!Number.isFinite(y)) continue;
      const shape = shapeOf(points[i]);
      context.beginPath();
      shapes[shape](context, chart.valToPos(x[i], "x", true), chart.valToPos(y, "y", true), r);
      context.fillStyle = shape === "gone" ? color("card") : color(shape);
      context.strokeStyle = color(shape);
      context.lineWidth = 1.5 * devicePixelRatio;
      context.fill();
      context.stroke();
    }
    context.restore();
  };

  const axes = (format) => [
    { stroke: color("quiet"), grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line"), width: 1 } },
    { stroke: color("quiet"), grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line"), width: 1 },
      size: 70, values: (_, splits) => splits.map(format) },
  ];

  // What stands under the pointer, in words.
  const tell = (output, pointAt, value, format) => (chart) => {
    const at = chart.cursor.idx;
    if (at === null || at === undefined) { output.textContent = ""; return; }
    const point = pointAt(at);
    output.textContent = `${point.name}: ${format(value(point))} ${marksOf(point).map((mark) => markText[mark]).join(", ")}`;
  };

  const cardOf = (title) => {
    const card = make("div", undefined, "chart");
    const output = make("output");
    card.append(make("h3", title), output);
    return { card, output };
  };
  const frame = { width: 300, height: 240, legend: { show: false }, cursor: { y: false } };

  // One line a run, and a mark at each save.
  const curveOf = (title, value, format) => {
    const { card, output } = cardOf(title);
    const from = xs[0], to = xs[xs.length - 1], margin = Math.max((to - from) * 0.03, 0.5);
    const lines = linesOf(value);
    const series = lines.map((_, run) => ({ stroke: color("run" + (run % 5)), width: 2, spanGaps: true, points: { show: false } }));
    const options = {
      ...frame, axes: axes(format), series: [{}, ...series],
      scales: { x: { time: false, range: [from - margin, to + margin] } },
      hooks: { setCursor: [tell(output, (at) => points[order[at]], value, format)], draw: [drawMarks(value)] },
    };
    return { card, build: () => new uPlot(options, [xs, ...lines], card) };
  };

  // One bar a save, in the order in which they were made.
  const barsOf = (title, value, format) => {
    const { card, output } = cardOf(title);
    const heights = points.map((point) => (Number.isFinite(value(point)) ? value(point) : null));
    const options = {
      ...frame, axes: axes(format),
      series: [{}, { fill: color("kept"), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.7, 24] }) }],
      scales: { x: { time: false, range: [0.4, points.length + 0.6] }, y: { range: (_, min, max) => [0, (max || 1) * 1.1] } },
      hooks: { setCursor: [tell(output, (at) => points[at], value, format)] },
    };
    return { card, build: () => new uPlot(options, [points.map((_, i) => i + 1), heights], card) };
  };

  const drawCharts = () => {
    const place = document.getElementById("charts");
    place.replaceChildren();
    const metrics = ["loss", ...new Set(points.flatMap((point) => Object.keys(point.progress.metrics)))];
    const over = data.x === "step" ? " over steps" : " over epochs";
    const charts = metrics
      .filter((metric) => points.some((point) => Number.isFinite(number(metricOf(point, metric)))))
      .map((metric) => curveOf(metric + over, (point) => number(metricOf(point, metric)), valueText));
    charts.push(barsOf("size, save by save", (point) => point.bytes, bytesText));
    if (points.some((point) => Number.isFinite(number(point.seconds)))) {
      charts.push(barsOf("time, save by save", (point) => number(point.seconds), secondsText));
    }
    for (const { card, build } of charts) {
      place.append(card);
      const chart = build();
      const fit = () => chart.setSize({ width: card.clientWidth - 24, height: 240 });
      fit();
      new ResizeObserver(fit).observe(card);
    }
  };

  // ---- tables and texts

  const fillTable = (section, columns, rows) => {
    const head = make("tr");
    for (const [title, isNumber] of columns) head.append(make("th", title, isNumber ? "number" : ""));
    document.querySelector(`#${section} thead`).append(head);
    for (const { cells, className } of rows) {
      const row = make("tr", undefined, className);
      cells.forEach((cell, i) => {
        const place = make("td", undefined, columns[i][1] ? "number" : "");
        place.append(...[cell].flat());
        row.append(place);
      });
      document.querySelector(`#${section} tbody`).append(row);
    }
  };

  const writeTexts = () => {
    document.title = `${data.title}: checkpoints`;
    document.getElementById("title").textContent = data.title;
    document.getElementById("subtitle").textContent = `as of ${timeText(data.created)}`;
    document.getElementById("footer").textContent =
      `Made by torch-checkpoint ${data.library_version}. Charts: uPlot, MIT licence.`;
    const kept = points.filter((point) => point.kept);
    const last = points[points.length - 1];
    const tile = (label, text) => {
      const box = make("div", undefined, "tile");
      box.append(make("span", label), make("b", text));
      document.getElementById("tiles").append(box);
    };
    tile("checkpoints here", String(kept.length + data.damaged.length));
    tile("saves known", String(points.length));
    if (last) tile("epochs done, steps", `${epochsDone(last)}, ${last.progress.step}`);
    if (last) tile("last loss", valueText(last.progress.loss));
    if (data.best) tile(`best ${data.best_metric || ""}`.trim(), data.best);
    tile("restarts", String(Math.max(0, runIds.length - 1)));
    tile("on disk", bytesText(kept.reduce((sum, point) => sum + point.bytes, 0)));
    if (data.damaged.length) tile("damaged", String(data.damaged.length));
    for (const [shape, text] of [["kept", "kept"], ["best", "best"], ["resumed", "resumed from"], ["gone", "removed since"]]) {
      const path = { d: "", moveTo(a, b) { this.d += `M${a} ${b}`; }, lineTo(a, b) { this.d += `${this.d ? "L" : "M"}${a} ${b}`; },
                     closePath() { this.d += "Z"; }, arc(a, b, r) { this.d += `M${a - r} ${b}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`; } };
      shapes[shape](path, 8, 8, 3.5);
      const entry = make("span");
      entry.innerHTML = `<svg width="16" height="16" aria-hidden="true"><path d="${path.d}" stroke="var(--${shape})"
        fill="${shape === "gone" ? "var(--card)" : `var(--${shape})`}" stroke-width="1.5"/></svg>`;
      entry.append(text);
      document.getElementById("legend").append(entry);
    }
  };

  const writeTables = () => {
    fillTable("runs", [["run"], ["resumed from"], ["first save"], ["last save"], ["saves", true], ["epochs", true]],
      runIds.map((run) => {
        const own = points.filter((point) => point.run_id === run);
        const first = own[0], last = own[own.length - 1];
        return { cells: [run.slice(0, 8), first.parent || "–", timeText(first.created), timeText(last.created), String(own.length),
                         `${epochsDone(first)} to ${epochsDone(last)}`] };
      }));
    const metrics = [...new Set(points.flatMap((point) => Object.keys(point.progress.metrics)))];
    fillTable("checkpoints",
      [["name"], [""], ["epoch", true], ["step", true], ["loss", true], ...metrics.map((metric) => [metric, true]),
       ["size", true], ["save", true], ["created"]],
      [...points].reverse().map((point) => ({
        className: point.kept ? "" : "gone",
        cells: [point.name, marksOf(point).map((mark) => make("span", markText[mark], "mark " + mark)),
                point.progress.epoch + (point.progress.epoch_done ? "" : " (in it)"), String(point.progress.step),
                valueText(point.progress.loss), ...metrics.map((metric) => valueText(point.progress.metrics[metric])),
                bytesText(point.bytes), secondsText(point.seconds), timeText(point.created)],
      })).concat(data.damaged.map((name) => ({
        cells: [name, make("span", "damaged", "mark damaged"), ...Array(6 + metrics.length).fill("")] }))));
  };

  writeTexts();
  writeTables();
  if (points.length) {
    drawCharts();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
  }
})();
