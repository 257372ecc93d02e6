import { busy, call, duration, el, listen, number, problem, toast, upload } from "../treadle.js";

// What runs: figures and the newest sample, as they come.
function card(event) {
  let found = document.querySelector(`[data-job="${event.job}"]`);
  if (found || !event.job) return found;
  const place = document.getElementById("active");
  if (!place) return null;
  const stat = (label, unit) => el("div", { class: "stat" }, el("dt", {}, label), el("dd", {}, el("span", {}, "–"), unit ? el("small", {}, ` ${unit}`) : null));
  found = el("article", { class: "running", "data-job": event.job },
    el("h3", {}, `${event.kind ?? "job"} `, event.model ? el("a", { href: `/train?model=${encodeURIComponent(event.model)}` }, event.model) : null, " ", el("span", { class: "badge state-running" }, "running")),
    el("div", { class: "bar", role: "progressbar", "aria-label": `Progress of job ${event.job}`, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 0 },
      el("svg", { width: "100%", height: 6, "aria-hidden": "true" }, el("rect", { class: "done", width: "0%", height: 6 }))),
    el("dl", { class: "stats" }, stat("Loss", "nats"), stat("Step"), stat("Speed", "tokens/s"), stat("Left")),
    el("p", { class: "sample", hidden: true }),
    el("p", { class: "actions" }, el("button", { type: "button", "data-stop": event.job }, "Stop and keep")));
  place.append(found);
  document.getElementById("now-card").hidden = false;
  return found;
}

listen(["run.progress", "run.training_started", "run.reading"], (event) => {
  const place = card(event);
  if (!place) return;
  const { loss, step, total_steps: total, targets_per_second: speed, eta_seconds: left, fraction } = event.data;
  const values = place.querySelectorAll("dd span");
  const shown = [number(loss, 3), total ? `${number(step)} of ${number(total)}` : number(step), number(speed), duration(left)];
  values.forEach((value, index) => { if (shown[index] !== "–") value.textContent = shown[index]; });
  if (fraction === undefined || fraction === null) return;
  place.querySelector(".done").setAttribute("width", `${Math.min(100, fraction * 100)}%`);
  place.querySelector(".bar").setAttribute("aria-valuenow", Math.round(fraction * 100));
});

listen("run.sample", (event) => {
  const sample = card(event)?.querySelector(".sample");
  if (!sample) return;
  sample.textContent = `Step ${number(event.data.step)}\n\n${event.data.text ?? ""}`;
  sample.hidden = false;
});

let again = 0;
listen(["job.done", "job.failed", "job.cancelled", "job.submitted"], (event) => {
  if (event.type === "job.submitted" && document.querySelector(".welcome")) return;
  clearTimeout(again);  // several at once: one reload
  again = setTimeout(() => location.reload(), 300);
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-stop]");
  if (!button) return;
  await busy(button, async () => {
    try { toast((await call("jobs.stop", { job: Number(button.dataset.stop) })).said); } catch (error) { toast(error.message, "bad"); }
  });
});

// The first visit with files of one's own: a model, the files, the training.
const own = document.getElementById("own");
if (own) {
  const drop = own.querySelector("[data-drop]"), input = drop.querySelector("input");
  for (const type of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(type, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", type === "dragover");
      if (type === "drop" && event.dataTransfer.files.length) input.files = event.dataTransfer.files;
    });
  }
  own.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem(own);
    await busy(event.submitter, async () => {
      const bar = own.querySelector("progress"), model = own.elements.name.value, files = [...input.files];
      try {
        bar.hidden = false;
        const paths = [];
        for (const file of files) {
          paths.push(await upload(file, { progress: (share) => { bar.value = (paths.length + share) / files.length; } }));
        }
        const known = (await call("list")).models.some((one) => one.name === model);
        if (!known) await call("new", { name: model });
        await call("feed", { model, paths });
        await call("train", { model });
        location.assign(`/?model=${encodeURIComponent(model)}`);
      } catch (error) { problem(own, error.message); bar.hidden = true; }
    });
  });
}
