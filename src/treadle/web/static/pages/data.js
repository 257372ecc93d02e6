// Files into models and datasets, and the tables of what there is.

import { call, el, listen, renew, toast } from "../treadle.js";
import { dropZone, upload } from "./upload.js";

const drop = document.getElementById("drop");
const list = document.getElementById("sending");
const jobs = new Map();

async function take(files) {
  const target = document.getElementById("target").value;
  const name = target.slice(target.indexOf(":") + 1);
  const licence = document.getElementById("licence").value.trim();
  try {
    const sent = await upload(files, list);
    if (!sent) return;
    const asked = target.startsWith("model:")
      ? await call("feed", { model: name, paths: [sent.path] })
      : await call("data.add", { name, paths: [sent.path], ...(licence ? { licence } : {}) });
    const place = el("span", { class: "muted" }, asked.position ? `queued as number ${asked.position}` : "waits to be read");
    sent.row.append(place, el("a", { href: `/queue/${asked.job}` }, `job ${asked.job}`));
    jobs.set(asked.job, { place, name });
  } catch (error) {
    toast(error.message, "bad");
  }
}

async function ended(job) {
  const { place, name } = jobs.get(job);
  jobs.delete(job);
  const { job: facts, result } = await call("jobs.show", { job });
  if (facts.state !== "done" || !result) {
    place.textContent = facts.error ?? facts.state;
    return;
  }
  const refused = Array.isArray(result.refused) ? result.refused.length : Object.values(result.refused ?? {}).reduce((sum, one) => sum + one, 0);
  const parts = [`${result.accepted ?? 0} taken`];
  if (refused) parts.push(`${refused} refused`);
  if (result.duplicates) parts.push(`${result.duplicates} known already`);
  place.replaceChildren(parts.join(", "), " ", el("a", { href: `/data/sets/${encodeURIComponent(name)}` }, "See what became of it"));
}

function showLicence() {
  const target = document.getElementById("target");
  document.getElementById("licence-field").hidden = target.value.startsWith("model:"); // models note none
}

if (drop) {
  dropZone(drop, take);
  document.getElementById("target").addEventListener("change", showLicence);
  showLicence();
}
listen(["run.reading"], (event) => {
  const known = jobs.get(event.job);
  if (known) known.place.textContent = `reading: ${event.data.read ?? 0} documents`;
});
listen(["job.*"], (event) => {
  if (["job.done", "job.failed", "job.cancelled"].includes(event.type)) {
    if (jobs.has(event.job)) ended(event.job);
    renew("sets", "fed", "crawls");
  }
});
