// Curves of runs: fetched in as many points as there is room for, and drawn on as the runs go on. Beside them the samples.

import { call, duration, el, number, toast } from "../treadle.js";

const BANDED = 8;  // more runs than that, and the bands would cover the lines
const SETTLE = 2500;  // after how long what was drawn from events is fetched once more
const WITH = { loss: ["loss", "held_out_loss"] };  // what is drawn together
const SAID = { loss: "loss", held_out_loss: "held out", bits_per_byte: "bits per byte", accuracy: "accuracy", learning_rate: "learning rate", targets_per_second: "per second", gradient_norm: "gradient norm" };

export class RunChart {
  constructor(root) {
    this.root = root;
    this.runs = root.dataset.runs.split(" ").filter(Boolean);
    this.curves = [];
    this.controls = Object.fromEntries([...root.querySelectorAll("[data-control]")].map((one) => [one.dataset.control, one]));
    this.plot = new Plot(root.querySelector(".plot"), { onSelect: (range) => this.zoom(range), onHover: (x) => this.tell(x) });
    this.readout = root.querySelector(".readout");
    this.legend = root.querySelector(".legend");
    for (const name of ["metric", "by", "first", "last"]) this.controls[name].addEventListener("change", () => { if (name === "by") this.clearSpan(); this.fetch(); });
    for (const name of ["smooth", "log"]) this.controls[name].addEventListener("input", () => this.draw());
    this.controls.whole.addEventListener("click", () => this.zoom(null));
    onTheme(() => this.draw());
    this.fetch();
  }

  get by() { return this.controls.by.value; }
  get metrics() { return WITH[this.controls.metric.value] ?? [this.controls.metric.value]; }

  /** Draw these runs and no others. */
  choose(runs) {
    this.runs = [...runs];
    this.root.dispatchEvent(new CustomEvent("chosen", { detail: this.runs, bubbles: true }));
    return this.fetch();
  }

  clearSpan() { this.controls.first.value = this.controls.last.value = ""; }

  zoom(range) {
    if (range === null) this.clearSpan();
    else if (this.by === "step") [this.controls.first.value, this.controls.last.value] = [Math.max(0, Math.floor(range[0])), Math.ceil(range[1])];
    else {
      const steps = this.curves.flatMap((curve) => curve.x.map((x, at) => [x, curve.steps[at]])).filter(([x]) => x >= range[0] && x <= range[1]).map(([, step]) => step);
      if (steps.length) [this.controls.first.value, this.controls.last.value] = [Math.floor(Math.min(...steps)), Math.ceil(Math.max(...steps))];
    }
    this.fetch();
  }

  async fetch() {
    clearTimeout(this.settling);
    this.settling = null;
    const asked = this.asked = {};
    if (!this.runs.length) { this.curves = []; this.draw(); return; }
    const span = { first: this.controls.first.value, last: this.controls.last.value };
    this.controls.whole.hidden = !span.first && !span.last;
    const points = Math.max(60, Math.min(500, Math.round(6000 / this.runs.length)));
    const given = { runs: this.runs, metric: this.metrics, by: this.by, points };
    for (const name of ["first", "last"]) if (span[name] !== "") given[name] = Number(span[name]);
    try {
      const answer = await call("runs.metrics", given);
      if (asked !== this.asked) return;  // another question was asked meanwhile
      this.curves = answer.curves.map((curve) => ({ ...curve, steps: curve.steps.length ? curve.steps : curve.x }));
      this.draw();
    } catch (error) {
      if (asked !== this.asked) return;
      if (error.kind === "NotReady") { this.curves = []; this.draw(); } else toast(error.message, "bad");
    }
  }

  /** Add what an event of a run tells; true if it is drawn here. */
  take(event) {
    if (!this.runs.includes(event.run) || this.controls.last.value) return false;
    const x = { step: event.data.step, epoch: event.data.epoch }[this.by];
    for (const metric of this.metrics) {
      const curve = this.curves.find((one) => one.run === event.run && one.metric === metric);
      const value = event.data[metric];
      const measured = metric === "held_out_loss" ? event.type === "run.evaluation" : event.type === "run.progress";
      if (!curve || !measured || value === null || value === undefined || x === undefined) continue;
      if (curve.x.length && x <= curve.x.at(-1)) continue;
      if (curve.steps !== curve.x) curve.steps.push(event.data.step);
      curve.x.push(x);
      curve.mean.push(value);
      if (curve.min.length) { curve.min.push(value); curve.max.push(value); }
    }
    this.soon();
    this.settling ??= setTimeout(() => this.fetch(), SETTLE);
    return true;
  }

  soon() {
    if (this.frame) return;
    this.frame = true;
    const draw = () => { if (this.frame) { this.frame = false; this.draw(); } };
    requestAnimationFrame(draw);
    setTimeout(draw, 40);  // a tab in the background has no frames
  }

  lines() {
    const share = Number(this.controls.smooth.value);
    return this.curves.filter((curve) => curve.x.length).map((curve) => {
      const place = this.runs.indexOf(curve.run), second = curve.metric !== this.metrics[0];
      const banded = this.runs.length <= BANDED && curve.min.length > 0 && !second && share === 0;
      return {
        run: curve.run, metric: curve.metric, model: curve.model,
        x: curve.x, y: second ? curve.mean : smoothed(curve.mean, share),
        low: banded ? curve.min : [], high: banded ? curve.max : [],
        paint: colour(place), points: second || curve.x.length < 3,
      };
    });
  }

  draw() {
    const lines = this.drawn = this.lines();
    const small = this.metrics[0] === "learning_rate";
    this.plot.draw(lines, { log: this.controls.log.checked, format: small ? (n) => n.toPrecision(2).replace(/\.?0+(e|$)/, "$1") : null, place: this.by === "seconds" ? duration : null, whole: this.by === "step" });
    this.write(lines);
  }

  write(lines) {
    const rows = lines.filter((line) => line.metric === this.metrics[0]);
    const alike = new Set(rows.map((line) => line.model)).size < rows.length;
    this.legend.replaceChildren(...rows.map((line) => {
      const mark = el("i", { "aria-hidden": "true" });
      mark.style.backgroundColor = line.paint;
      const held = lines.find((other) => other.run === line.run && other !== line);
      const last = `${figure(line.y.at(-1))}${held ? `, ${SAID[held.metric]} ${figure(held.y.at(-1))}` : ""}`;
      return el("li", {}, mark, el("a", { href: `/runs/${line.run}`, title: line.run }, `${line.model ?? "deleted"}${alike ? ` ${line.run.slice(-4)}` : ""}`), ` ${last}`);
    }));
    this.root.querySelector(".plot").setAttribute("aria-label", rows.length
      ? `${this.root.dataset.label}: ${SAID[this.metrics[0]]} of ${rows.length === 1 ? "1 run" : `${rows.length} runs`}, newest values ${rows.slice(0, 5).map((line) => figure(line.y.at(-1))).join(", ")}`
      : `${this.root.dataset.label}: nothing was measured`);
    if (!rows.length) this.readout.textContent = this.runs.length ? "Nothing of this kind was measured." : "Choose runs below.";
    else this.readout.textContent = "Drag over the picture to look closer; a double click shows all of it.";
  }

  tell(x) {
    if (x === null || !this.drawn?.length) return;
    const said = this.drawn.slice(0, 8).map((line) => {
      const at = nearest(line, x);
      return at === null ? "" : `${line.model ?? ""} ${SAID[line.metric]} ${figure(line.y[at])}`;
    });
    const where = this.by === "seconds" ? duration(x) : this.by === "epoch" ? `epoch ${number(x, 2)}` : `step ${number(x)}`;
    this.readout.textContent = `${where}: ${said.filter(Boolean).join(" · ")}`;
  }
}

/** Checkboxes with `data-draw` say which runs a chart draws. */
export function drawBoxes(chart) {
  const boxes = () => [...document.querySelectorAll("[data-draw]")];
  document.addEventListener("change", (event) => {
    if (event.target.dataset?.draw) chart.choose(boxes().filter((box) => box.checked).map((box) => box.dataset.draw));
  });
  for (const button of document.querySelectorAll("[data-choose]")) {
    button.addEventListener("click", () => {
      for (const box of boxes()) box.checked = button.dataset.choose === "all";
      chart.choose(boxes().filter((box) => box.checked).map((box) => box.dataset.draw));
    });
  }
}

/** The exponential mean, freed of where it begins. */
function smoothed(values, share) {
  if (!share) return values;
  let mean = 0, weight = 0;
  return values.map((value) => {
    mean = share * mean + (1 - share) * value;
    weight = share * weight + (1 - share);
    return mean / weight;
  });
}

export const figure = (value) => value === null || value === undefined ? "–"
  : Math.abs(value) >= 1000 ? number(value) : Math.abs(value) < 0.01 && value !== 0 ? value.toExponential(1) : value.toPrecision(4);

// Lines in a box: what uPlot needs from us, in the colours of the page.

const LIGHT = ["#0f6b5c", "#c2571a", "#3d5a9e", "#8a3d7a", "#7a6a12", "#2f7fa3", "#a32a22", "#4d7a2a"];
const DARK = ["#63cdb8", "#f0a468", "#8fb0f2", "#dd94cc", "#d6c25a", "#76c4e6", "#f19b93", "#a3d078"];
const dark = matchMedia("(prefers-color-scheme: dark)");

/** A colour for the line of this number, in the theme of the page. */
export function colour(number) {
  const known = dark.matches ? DARK : LIGHT;
  if (number < known.length) return known[number];
  return `hsl(${Math.round(number * 137.508) % 360} 55% ${dark.matches ? 68 : 40}%)`;
}

/** Call `draw` again when the theme of the page changes. */
export const onTheme = (draw) => dark.addEventListener("change", draw);

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
const WHOLE = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((one) => one * 10 ** power)).flat();  // between marks of steps
const translucent = (paint, share) => `color-mix(in srgb, ${paint} ${share}%, transparent)`;

/** Draws lines into a box and redraws them in place. */
export class Plot {
  constructor(box, { onSelect = null, onHover = null } = {}) {
    this.box = box;
    this.onSelect = onSelect;
    this.onHover = onHover;
    this.chart = null;
    this.shape = "";
    new ResizeObserver(() => this.chart?.setSize(this.size())).observe(box);
  }

  size() { return { width: Math.max(200, this.box.clientWidth), height: innerWidth < 760 ? 230 : 280 }; }

  /** Lines: `x`, `y`, optionally `low` and `high` (a band), `paint`, `points` (dots only), `broken` (null = a gap). */
  draw(lines, { time = false, log = false, min = null, max = null, format = null, place = null, whole = false } = {}) {
    const tables = lines.map((line) => line.low?.length ? [line.x, line.y, line.low, line.high] : [line.x, line.y]);
    const data = tables.length ? uPlot.join(tables) : [[], []];
    const shape = JSON.stringify([time, log, min, max, Boolean(place), whole, dark.matches, lines.map((line) => [line.paint, Boolean(line.points), Boolean(line.low?.length)])]);
    if (this.chart && shape === this.shape) {
      this.chart.setData(data);
      return;
    }
    this.chart?.destroy();
    this.shape = shape;
    this.chart = new uPlot(this.options(lines, { time, log, min, max, format, place, whole }), data, this.box);
  }

  options(lines, { time, log, min, max, format, place, whole }) {
    const ink = getComputedStyle(this.box).color, grid = { stroke: translucent(ink, 10), width: 1 };
    const axis = { stroke: translucent(ink, 75), grid, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const series = [{}], bands = [];
    for (const line of lines) {
      series.push({ stroke: line.paint, width: line.points ? 1.2 : 1.8, spanGaps: !line.broken, dash: line.points ? [4, 4] : undefined, points: { show: line.points ? true : undefined, size: 6, fill: line.paint } });
      if (line.low?.length) {
        const hidden = { stroke: "transparent", width: 0, spanGaps: true, points: { show: false } };
        series.push(hidden, { ...hidden });
        bands.push({ series: [series.length - 1, series.length - 2], fill: translucent(line.paint, 16) });
      }
    }
    return {
      ...this.size(),
      series, bands,
      legend: { show: false },
      scales: { x: { time }, y: { distr: log ? 3 : 1, range: min === null ? undefined : [min, max] } },
      axes: [{ ...axis, size: 30, ...(whole && { incrs: WHOLE }), values: time || place ? (_, ticks) => ticks.map(place ?? clock) : undefined }, { ...axis, size: 62, values: format ? (_, ticks) => ticks.map((one) => one === null ? "" : format(one)) : undefined }],
      cursor: { y: false, drag: { x: Boolean(this.onSelect), y: false, setScale: false }, points: { show: lines.length < 12, size: 7 }, bind: { dblclick: () => () => { this.onSelect?.(null); return null; } } },
      hooks: {
        setSelect: [(chart) => {
          if (!this.onSelect || chart.select.width < 4) return;
          const { left, width } = chart.select;
          this.onSelect([chart.posToVal(left, "x"), chart.posToVal(left + width, "x")]);
          chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }],
        setCursor: [(chart) => this.onHover?.(chart.cursor.left < 0 ? null : chart.posToVal(chart.cursor.left, "x"))],
      },
    };
  }
}

/** The value of a line that is nearest to a place. */
export function nearest(line, x) {
  let low = 0, high = line.x.length - 1;
  if (high < 0) return null;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (line.x[middle] < x) low = middle; else high = middle;
  }
  return Math.abs(line.x[low] - x) < Math.abs(line.x[high] - x) ? low : high;
}

// What a model wrote while it was trained, on a slider over the steps.

export class Samples {
  constructor(root) {
    this.root = root;
    this.card = root.closest("section");
    this.slider = root.querySelector("input[type=range]");
    this.all = [];
    this.follow = true;
    this.slider.addEventListener("input", () => { this.follow = Number(this.slider.value) === this.all.length - 1; this.show(); });
  }

  /** Take the samples of some runs. */
  async read(runs) {
    this.all = runs.length ? (await call("runs.samples", { runs })).samples : [];
    this.follow = true;
    this.show();
  }

  /** Add one that was just written. */
  take(sample) {
    this.all.push(sample);
    this.show();
  }

  show() {
    this.root.hidden = this.card.hidden = !this.all.length;
    if (!this.all.length) return;
    this.slider.max = String(this.all.length - 1);
    if (this.follow) this.slider.value = this.slider.max;
    const sample = this.all[Number(this.slider.value)];
    this.slider.setAttribute("aria-valuetext", `step ${sample.step}`);
    this.root.querySelector("[data-sample-step]").textContent = number(sample.step);
    this.root.querySelector("[data-sample-text]").textContent = sample.text;
    const words = sample.real_words === undefined || sample.real_words === null ? "" : ` · ${Math.round(sample.real_words * 100)} % real words`;
    this.root.querySelector("[data-sample-facts]").textContent = `${Number(this.slider.value) + 1} of ${this.all.length} · epoch ${number(sample.epoch, 2)}${words}`;
  }
}
