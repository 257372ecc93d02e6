// What runs: figures and the newest sample, as they come. The first visit: files of one's own.

import { busy, call, callingButtons, duration, listen, number, problem, rate, renew } from "../treadle.js";
import { uploadOne } from "./upload.js";

const asked = new Set();

/** The place of a job; one that has just begun gets it from the server, which is asked once for each. */
function card(event) {
  const found = document.querySelector(`[data-job="${event.job}"]`);
  if (!found && event.job && !asked.has(event.job)) {
    asked.add(event.job);
    renew("now-card");
  }
  return found;
}

listen(["run.progress", "run.training_started", "run.reading"], (event) => {
  const place = card(event);
  if (!place) return;
  const { loss, step, total_steps: total, targets_per_second: speed, eta_seconds: left, fraction } = event.data;
  const values = place.querySelectorAll("dd span");
  const shown = [number(loss, 3), total ? `${number(step)} of ${number(total)}` : number(step), rate(speed), duration(left)];
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

callingButtons(() => renew("now-card"));

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
          paths.push(await uploadOne(file, (share) => { bar.value = (paths.length + share) / files.length; }));
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
