// The page of training: live figures, curves, samples, and the form for more.

import { busy, bytes, call, callingButtons, duration, listen, number, problem, rate, renew, said, toast } from "../treadle.js";
import { RunChart, Samples, drawBoxes, figure } from "./chart.js";

const chart = new RunChart(document.getElementById("curves"));
const samples = new Samples(document.getElementById("samples"));
const model = document.querySelector("[data-model-choice] select")?.value ?? "";
const met = new Set(chart.runs);
let newest = null;  // the last figures of the run that is shown

drawBoxes(chart);
samples.read(chart.runs).catch(() => {});
document.addEventListener("chosen", (event) => samples.read(event.detail).catch(() => {}));

const SHOWN = {
  loss: figure, held_out_loss: figure, learning_rate: figure, step: (n) => number(n), eta_seconds: duration, memory_bytes: bytes,
  targets_per_second: rate,
};

function figures(event) {
  const { data } = event, now = document.getElementById("now");
  for (const [name, show] of Object.entries(SHOWN)) {
    const place = document.getElementById(`live-${name}`);
    if (place && data[name] !== null && data[name] !== undefined) place.textContent = show(data[name]);
  }
  const epoch = document.getElementById("live-epoch");
  const target = /^([\d.]+) epochs$/.exec(now.dataset.target ?? "");
  if (epoch && data.epoch !== undefined) epoch.textContent = target ? `${number(data.epoch, 2)} of ${target[1]}` : number(data.epoch, 2);
  const step = document.getElementById("live-step");
  if (step && data.total_steps) step.textContent = `${number(data.step)} of ${number(data.total_steps)}`;
  const bar = now.querySelector("[role=progressbar]");
  if (bar && data.fraction !== undefined) {
    bar.hidden = false;
    bar.setAttribute("aria-valuenow", String(Math.round(data.fraction * 100)));
    bar.querySelector(".done").setAttribute("width", `${(data.fraction * 100).toFixed(1)}%`);
  }
}

/** Draw a run that this page did not know, whichever of its events comes first; who takes it away again is right. */
function begun(run) {
  if (met.has(run)) return;
  met.add(run);
  document.getElementById("curves-card").hidden = false;
  chart.choose([run, ...chart.runs].slice(0, 8));
}

listen(["run.progress", "run.evaluation"], (event) => {
  if (event.model === model && event.type === "run.progress") { newest = event; figures(event); begun(event.run); }
  chart.take(event);
});
listen("run.training_started", (event) => {
  if (event.model !== model) return;
  const message = document.getElementById("live-message");
  if (message) message.textContent = event.data.message;
  begun(event.run);
});
listen("run.sample", (event) => { if (event.model === model) samples.take({ ...event.data, time: event.time }); });
listen("run.recovery", (event) => { if (event.model === model) toast(event.data.message); });
listen("job.*", (event) => {
  if (event.model !== model && event.model !== undefined && event.model !== null) return;
  renew("now", "own-runs");
});
addEventListener("renewed", (event) => {
  if (event.target.id === "now" && newest && event.target.dataset.run === newest.run) figures(newest);
  if (event.target.id === "own-runs") for (const box of event.target.querySelectorAll("[data-draw]")) box.checked = chart.runs.includes(box.dataset.draw);
});
callingButtons(() => renew("now", "own-runs"));

const form = document.getElementById("train-form");
if (form) {
  let settings = null;  // the code of the settings comes with the first look at them
  document.getElementById("train-settings").addEventListener("toggle", async () => {
    if (settings) return;
    settings = await import("./settings.js");
    settings.settingsForm(form);
  });
  const { unit, amount } = form.elements, field = document.getElementById("train-amount-field");
  const choose = () => {
    field.hidden = !unit.value;
    amount.required = Boolean(unit.value);
    amount.step = unit.value === "steps" ? "1" : "any";
    document.getElementById("train-unit-help").textContent = unit.selectedOptions[0].dataset.help;
  };
  unit.addEventListener("change", choose);
  choose();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    problem(form);
    busy(event.submitter, async () => {
      const given = { model: form.dataset.model, overrides: settings?.overrides(form) ?? [] };
      if (unit.value) given[unit.value] = Number(amount.value);
      try {
        toast(said(await call("train", given)));
        await renew("now", "own-runs");
      } catch (error) { problem(form, error.message); }
    });
  });
}
