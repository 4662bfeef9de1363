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
  // A long name breaks after these signs rather than where the line happens to end.
  const breakable = (text) => text.split(/(?<=[/_])/).flatMap((part) => [part, make("wbr")]).slice(0, -1);
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  const unitOf = (bytes) => {
    let unit = 0;
    while (bytes >= 1024 && unit + 1 < units.length) { bytes /= 1024; ++unit; }
    return unit;
  };
  const bytesText = (bytes) => {
    const unit = unitOf(bytes);
    return (unit ? (bytes / 1024 ** unit).toFixed(1) : bytes) + " " + units[unit];
  };
  // Three digits; whole seconds where there are more, which toPrecision would tell as 1.20e+3.
  const secondsText = (value) => {
    if (!Number.isFinite(number(value))) return "–";
    return (value < 100 ? value.toPrecision(3) : value.toFixed(0)) + " s";
  };
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

  const shapes = {  // the rarer ones last, as these lie over the others
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

  // ---- axes: their ticks and labels

  // The digits after the point that tell one tick from the next.
  const decimalsOf = (step) => {
    const [digits, power] = Number(step.toPrecision(6)).toExponential().split("e");
    const after = (digits.split(".")[1] ?? "").length - Number(power);
    return Math.min(100, Math.max(0, after));  // toFixed takes no more
  };
  const longest = (texts) => Math.max(...texts.map((text) => text.length));
  const powerText = (value) => (value ? Number(value.toPrecision(12)).toExponential().replace("+", "") : "0");
  // All with the same digits; as 2e12 or 8e-6 where they would be long, and this makes them shorter.
  const numberTicks = (splits, step) => {
    const plain = splits.map((value) => value.toFixed(decimalsOf(step)));
    if (longest(plain) <= 7) return plain;
    const powers = splits.map(powerText);
    return longest(powers) < longest(plain) ? powers : plain;
  };
  // In one unit, that of the largest. Steps are powers of two, so no label is a rounded number.
  const bytesTicks = (splits) => {
    const unit = unitOf(Math.max(...splits));
    return splits.map((bytes) => bytes / 1024 ** unit + " " + units[unit]);
  };
  const secondsTicks = (splits, step) => numberTicks(splits, step).map((text) => text + " s");
  const twoToThe = (first, count) => [...Array(count).keys()].map((i) => 2 ** (first + i));

  // What a chart shows: how a value is told, where an axis of such values ticks and how it tells that.
  const kinds = {
    value: { text: valueText, ticks: numberTicks },
    bytes: { text: bytesText, ticks: bytesTicks, steps: twoToThe(3, 60) },
    seconds: { text: secondsText, ticks: secondsTicks },
  };

  // Epochs, steps and saves are whole: there is no save 1.5.
  const wholeSteps = [...Array(15).keys()].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));
  const letter = 8;  // pixels: no digit is wider
  const roomFor = (value) => String(Math.ceil(value)).length * letter;

  const textWidth = (chart, axis, text) => {
    chart.ctx.font = axis.font[0];
    return chart.ctx.measureText(text).width / devicePixelRatio;
  };
  // As wide as the labels are: a fixed width cuts long ones off. It decides where ticks stand, so it is
  // found in rounds; the second one's is kept, as uPlot's own example does.
  const widthOfLabels = (chart, labels, index, round) => {
    const axis = chart.axes[index];
    if (round > 1) return axis._size;
    const widths = (labels ?? []).map((label) => textWidth(chart, axis, label));
    return Math.ceil(Math.max(0, ...widths)) + axis.ticks.size + axis.gap;
  };

  const axisOf = (options) => {
    const line = { stroke: color("line"), width: 1, size: 6 };
    return { stroke: color("quiet"), grid: line, ticks: line, ...options };
  };
  const axes = (kind) => [
    axisOf({ incrs: wholeSteps, values: (_, splits, axis, space, step) => numberTicks(splits, step),
             space: (_, axis, min, max) => roomFor(max) + 24, size: 28 }),
    axisOf({ incrs: kind.steps, values: (_, splits, axis, space, step) => kind.ticks(splits, step),
             size: widthOfLabels }),
  ];
  // Above, room for half of the top label's height; on the right, for half of the last label's width.
  const paddingFor = (last) => [12, Math.max(8, roomFor(last) / 2), 0, 0];

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

  // Where there is no room for all marks, those of which there may be many shrink, down to this part.
  const smallest = { gone: 0.3, kept: 0.6 };
  const radiusOf = (shape, room) => {
    const full = 3.5 * devicePixelRatio;
    return Math.min(full, Math.max(room * 0.4, full * (smallest[shape] ?? 1)));
  };

  const drawMark = (chart, shape, left, top) => {
    const context = chart.ctx, radius = radiusOf(shape, chart.bbox.width / xs.length);
    context.beginPath();
    shapes[shape](context, left, top, radius);
    context.fillStyle = shape === "gone" ? color("card") : color(shape);
    context.strokeStyle = color(shape);
    context.lineWidth = Math.min(1.5 * devicePixelRatio, radius);
    context.fill();
    context.stroke();
  };

  const drawMarks = (value) => (chart) => {
    chart.ctx.save();
    for (const shape of Object.keys(shapes)) {
      for (const i of order) {
        const y = value(points[i]);
        if (!Number.isFinite(y) || shapeOf(points[i]) !== shape) continue;
        drawMark(chart, shape, chart.valToPos(x[i], "x", true), chart.valToPos(y, "y", true));
      }
    }
    chart.ctx.restore();
  };

  // What the pointer is at, in words; the last save while it is elsewhere. The value comes first, as a
  // long name is cut off at the end.
  const tell = (output, pointAt, value, format) => (chart) => {
    const point = pointAt(chart.cursor.idx ?? points.length - 1);
    const marks = marksOf(point).map((mark) => markText[mark]).join(", ");
    const place = point.name + (marks && ` (${marks})`);
    output.textContent = `${Number.isFinite(value(point)) ? format(value(point)) : "no value"}, ${place}`;
  };

  const cardOf = (title) => {
    const card = make("div", undefined, "chart"), head = make("div", undefined, "head");
    const heading = make("h3"), output = make("output");
    heading.append(...breakable(title));
    head.append(heading, output);
    card.append(head);
    return { card, output };
  };
  const frame = { width: 300, height: 240, legend: { show: false }, cursor: { y: false } };

  // One line a run, and a mark at each save.
  const curveOf = (title, value, kind) => {
    const { card, output } = cardOf(title);
    const from = xs[0], to = xs[xs.length - 1], margin = Math.max((to - from) * 0.03, 0.5);
    const lines = linesOf(value);
    const series = lines.map((_, run) => ({ stroke: color("run" + (run % 5)), width: 2, spanGaps: true, points: { show: false } }));
    const options = {
      ...frame, axes: axes(kind), padding: paddingFor(to), series: [{}, ...series],
      scales: { x: { time: false, range: [from - margin, to + margin] } },
      hooks: { setCursor: [tell(output, (at) => points[order[at]], value, kind.text)], draw: [drawMarks(value)] },
    };
    return { card, build: () => new uPlot(options, [xs, ...lines], card) };
  };

  // One bar a save, in the order in which they were made.
  const barsOf = (title, value, kind) => {
    const { card, output } = cardOf(title);
    const heights = points.map((point) => (Number.isFinite(value(point)) ? value(point) : null));
    const options = {
      ...frame, axes: axes(kind), padding: paddingFor(points.length),
      series: [{}, { fill: color("kept"), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.7, 24] }) }],
      scales: { x: { time: false, range: [0.4, points.length + 0.6] }, y: { range: (_, min, max) => [0, (max || 1) * 1.1] } },
      hooks: { setCursor: [tell(output, (at) => points[at], value, kind.text)] },
    };
    return { card, build: () => new uPlot(options, [points.map((_, i) => i + 1), heights], card) };
  };

  const metrics = [...new Set(points.flatMap((point) => Object.keys(point.progress.metrics)))];
  const curves = ["loss", ...metrics]
    .filter((metric) => points.some((point) => Number.isFinite(number(metricOf(point, metric)))));
  const timed = points.some((point) => Number.isFinite(number(point.seconds)));

  const drawCharts = () => {
    const place = document.getElementById("charts");
    place.replaceChildren();
    const over = data.x === "step" ? " over steps" : " over epochs";
    const charts = curves
      .map((metric) => curveOf(metric + over, (point) => number(metricOf(point, metric)), kinds.value));
    charts.push(barsOf("size, save by save", (point) => point.bytes, kinds.bytes));
    if (timed) charts.push(barsOf("time, save by save", (point) => number(point.seconds), kinds.seconds));
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
    for (const [title, isNumber] of columns) {
      const place = make("th", undefined, (isNumber ? "number" : "") + (title.length > 20 ? " long" : ""));
      place.append(...breakable(title));
      head.append(place);
    }
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
    document.getElementById("title").append(...breakable(data.title));
    document.getElementById("subtitle").textContent = `as of ${timeText(data.created)}`;
    document.getElementById("footer").textContent =
      `Made by torch-checkpoint ${data.library_version}. Charts: uPlot, MIT licence.`;
    const kept = points.filter((point) => point.kept);
    const last = points[points.length - 1];
    // Always the same eight, which make whole rows of two, four and eight.
    const tile = (label, text, className = "") => {
      const box = make("div", undefined, `tile ${className}`.trim());
      const name = make("span"), value = make("b");
      name.append(...breakable(label));
      value.append(...breakable(text));
      box.append(name, value);
      document.getElementById("tiles").append(box);
    };
    tile("checkpoints here", String(kept.length + data.damaged.length));
    tile("saves known", String(points.length));
    tile("epochs done, steps", last ? `${epochsDone(last)}, ${last.progress.step}` : "–");
    tile("last loss", last ? valueText(last.progress.loss) : "–");
    tile(`best ${data.best_metric || ""}`.trim(), data.best || "–");
    tile("restarts", String(Math.max(0, runIds.length - 1)));
    tile("on disk", bytesText(kept.reduce((sum, point) => sum + point.bytes, 0)));
    tile("damaged", String(data.damaged.length), data.damaged.length ? "damaged" : "");
  };

  // The path of a shape as SVG wants it, from the calls that draw it on a canvas.
  const svgPath = (shape) => {
    const path = { d: "", moveTo(a, b) { this.d += `M${a} ${b}`; }, lineTo(a, b) { this.d += `${this.d ? "L" : "M"}${a} ${b}`; },
                   closePath() { this.d += "Z"; }, arc(a, b, r) { this.d += `M${a - r} ${b}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`; } };
    shapes[shape](path, 8, 8, 3.5);
    return path.d;
  };

  // Of the curves' marks, those that there are.
  const writeLegend = () => {
    const legend = document.getElementById("legend");
    const shown = new Set(curves.length ? points.map(shapeOf) : []);
    for (const [shape, text] of [["kept", "kept"], ["best", "best"], ["resumed", "resumed from"], ["gone", "removed since"]]) {
      if (!shown.has(shape)) continue;
      const entry = make("span");
      entry.innerHTML = `<svg width="16" height="16" aria-hidden="true"><path d="${svgPath(shape)}" stroke="var(--${shape})"
        fill="${shape === "gone" ? "var(--card)" : `var(--${shape})`}" stroke-width="1.5"/></svg>`;
      entry.append(text);
      legend.append(entry);
    }
  };

  const writeTables = () => {
    fillTable("runs", [["run"], ["resumed from"], ["first save"], ["last save"], ["saves", true], ["epochs", true]],
      runIds.map((run) => {
        const own = points.filter((point) => point.run_id === run);
        const first = own[0], last = own[own.length - 1];
        const epochs = [...new Set([epochsDone(first), epochsDone(last)])].join(" to ");
        return { cells: [run.slice(0, 8), first.parent || "–", timeText(first.created), timeText(last.created), String(own.length),
                         epochs] };
      }));
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

  // Without saves, a sentence in place of charts and tables that have nothing in them.
  const writeEmpty = () => {
    document.getElementById("charts").append(make("p", "No save is known here, so there is nothing to draw.", "empty"));
    document.getElementById("runs").remove();
    if (!data.damaged.length) document.getElementById("checkpoints").remove();
  };

  writeTexts();
  writeTables();
  if (points.length) {
    writeLegend();
    drawCharts();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
  } else {
    writeEmpty();
  }
})();
