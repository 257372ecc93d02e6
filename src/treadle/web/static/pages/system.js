// The page of the machine: its history goes on, the disk can be cleaned up, accounts are kept.

import { busy, bytes, call, callingButtons, confirm, el, listen, number, renew, toast } from "../treadle.js";
import { Plot, colour, onTheme } from "./chart.js";

const box = document.getElementById("history");
const plot = new Plot(box.querySelector(".plot"));
const FREE = { load: (n) => number(n, 2), memory_available: bytes, disk_free: bytes };
let history = JSON.parse(document.getElementById("history-data").textContent);

function draw() {
  const { time, processor, memory_used: used, memory_total: total } = history;
  box.querySelector(".plot").hidden = !time.length;
  box.querySelector("[data-no-history]").hidden = time.length > 0;
  if (!time.length) return;
  const lines = [
    { name: "Processor", y: processor.map((share) => share * 100) },
    { name: "Memory", y: used.map((size, at) => size / total[at] * 100) },
  ].map((line, at) => ({ ...line, ...withGaps(time, line.y), paint: colour(at), points: time.length < 3, broken: true }));
  plot.draw(lines, { time: true, min: 0, max: 100, format: (value) => `${value} %` });
  box.querySelector(".legend").replaceChildren(...lines.map((line) => {
    const mark = el("i", { "aria-hidden": "true" });
    mark.style.backgroundColor = line.paint;
    return el("li", {}, mark, `${line.name} ${Math.round(line.y.at(-1))} %`);
  }));
}

/** A line that is interrupted where nobody measured. */
function withGaps(x, y) {
  const steps = x.slice(1).map((at, before) => at - x[before]).sort((a, b) => a - b);
  const usual = steps[steps.length >> 1] ?? 0;
  const found = { x: [], y: [] };
  x.forEach((at, place) => {
    if (place && at - x[place - 1] > 4 * usual) { found.x.push(x[place - 1] + usual); found.y.push(null); }
    found.x.push(at);
    found.y.push(y[place]);
  });
  return found;
}

draw();
onTheme(draw);
setInterval(async () => {
  if (document.hidden) return;
  try {
    history = await call("system.history", { minutes: Number(box.dataset.minutes) });
    draw();
    const now = await call("system.status");  // the page itself counts the whole disk
    for (const [name, show] of Object.entries(FREE)) document.getElementById(`machine-${name}`).textContent = show(now[name]);
  } catch { /* the server is away for a moment */ }
}, Number(box.dataset.interval) * 1000);

listen("job.*", () => renew("workers"));
callingButtons((_, button) => button.closest("#accounts") ? renew("accounts") : renew("workers"));

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-clean]");
  if (!button) return;
  await busy(button, async () => {
    const what = button.dataset.clean;
    const ask = (dry) => what === "objects" ? call("data.gc", { dry_run: dry }) : call("system.clean", { what, dry_run: dry, days: what === "packed" ? 0 : 7 });
    try {
      const would = await ask(true);
      const count = would.entries?.length ?? would.objects;
      if (!count) { toast(what === "objects" ? "Every stored text is still in use." : would.said); return; }
      const erased = what === "runs" ? "They go to the trash." : "They are erased for good.";
      if (!(await confirm(`${count} ${count === 1 ? "thing" : "things"}, ${bytes(would.bytes)}. ${erased}`, "Clean up"))) return;
      const done = await ask(false);
      toast(done.said ?? `${bytes(done.bytes)} freed.`);
      await renew("disk");
    } catch (error) { toast(error.message, "bad"); }
  });
});

document.addEventListener("change", async (event) => {
  const name = event.target.dataset?.levelOf;
  if (!name) return;
  try { toast((await call("user.level", { name, level: event.target.value })).said ?? "Done."); } catch (error) { toast(error.message, "bad"); await renew("accounts"); }
});

for (const [form, place, word] of [["user-form", "user-secret", "password"], ["key-form", "key-secret", "token"]]) {
  document.getElementById(form)?.addEventListener("treadle:done", ({ detail }) => {
    const secret = detail.password ?? detail.token;
    document.getElementById(place).replaceChildren(...(secret ? [`The ${word}, shown this once: `, el("code", {}, secret)] : []));
  });
}
