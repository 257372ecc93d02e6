// Curves of runs: fetched in as many points as there is room for, and drawn on as the runs go on.

import { call, duration, el, number, toast } from "../treadle.js";
import { Plot, colour, nearest, onTheme } from "./plot.js";

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
    const small = ["learning_rate"].includes(this.metrics[0]);
    this.plot.draw(lines, { log: this.controls.log.checked, format: small ? (n) => n.toPrecision(2).replace(/\.?0+(e|$)/, "$1") : this.by === "seconds" ? null : null });
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
