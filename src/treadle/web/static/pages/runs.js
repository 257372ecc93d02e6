// The page of runs: curves of the chosen ones, and what differs between them.

import { call, duration, el, listen, number, renew, toast } from "../treadle.js";
import { RunChart, drawBoxes, figure } from "./chart.js";

const root = document.getElementById("curves");
if (root) {
  const chart = new RunChart(root);
  drawBoxes(chart);
  compare(chart.runs);
  document.addEventListener("chosen", (event) => compare(event.detail));
  listen(["run.progress", "run.evaluation"], (event) => chart.take(event));
  listen("job.*", () => renew("list"));
  addEventListener("renewed", () => { for (const box of document.querySelectorAll("[data-draw]")) box.checked = chart.runs.includes(box.dataset.draw); });
}

async function compare(runs) {
  const card = document.getElementById("comparison");
  card.hidden = runs.length < 2 || runs.length > 12;
  if (card.hidden) return;
  try {
    const found = await call("runs.compare", { runs });
    document.getElementById("comparison-table").replaceChildren(table(found), el("p", { class: "muted" }, `${found.alike} settings are alike.`));
  } catch (error) { toast(error.message, "bad"); }
}

function table({ runs, differing }) {
  const row = (label, values, mono = false) => el("tr", {}, el("th", { scope: "row", class: mono ? "mono" : null }, label), values.map((value) => el("td", { class: "num" }, value)));
  const best = Math.min(...runs.map((run) => run.best ?? Infinity));
  return el("table", {},
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Run"), runs.map((run) => el("th", { scope: "col", class: "num" }, el("a", { href: `/runs/${run.id}`, title: run.id }, `${run.model ?? "deleted"} ${run.id.slice(-4)}`))))),
    el("tbody", {},
      row("Best held out", runs.map((run) => run.best === best && Number.isFinite(best) ? el("strong", {}, `${figure(run.best)} (lowest)`) : figure(run.best))),
      row("Loss", runs.map((run) => figure(run.loss))),
      row("Steps", runs.map((run) => number(run.step))),
      row("Time", runs.map((run) => duration(run.seconds))),
      differing.map((one) => row(one.key, one.values.map((value) => value === null ? "none" : String(value)), true))));
}
