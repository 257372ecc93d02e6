// The queue: rows are dragged or moved by keys, and the lists follow what happens.

import "../vendor/Sortable/Sortable.min.js";
import { call, callingButtons, duration, formValues, listen, problem, renew, said, toast } from "../treadle.js";

const PARTS = ["worker", "waiting", "past", "schedules"];

const changed = () => renew(...PARTS);

/** Move a job beside another one of its list. */
async function move(row, place) {
  try {
    toast(said(await call("jobs.move", { job: Number(row.dataset.job), ...place })));
  } catch (error) {
    toast(error.message, "bad");
  }
  await changed(); // what had the focus has it again afterwards
}

function neighbour(row, up) {
  const other = up ? row.previousElementSibling : row.nextElementSibling;
  return other?.dataset.job ? Number(other.dataset.job) : null;
}

function moveBy(row, up) {
  const other = neighbour(row, up);
  if (other === null) toast(up ? "It is the first already." : "It is the last already.");
  else move(row, up ? { before: other } : { behind: other });
}

function makeSortable() {
  for (const list of document.querySelectorAll("tbody[data-line]")) {
    if (list.dataset.sortable) continue;
    list.dataset.sortable = "yes";
    window.Sortable.create(list, {
      handle: ".grip",
      draggable: "tr[data-job]",
      animation: 120,
      chosenClass: "dragged",
      onEnd: ({ item, oldIndex, newIndex }) => {
        item.classList.remove("dragged");
        if (oldIndex === newIndex) return;
        const before = neighbour(item, true);
        move(item, before === null ? { before: neighbour(item, false) } : { behind: before });
      },
    });
  }
}

document.addEventListener("keydown", (event) => {
  const row = event.target.closest?.("tr[data-job][tabindex]");
  if (!row || event.target !== row || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "ArrowUp" || event.key === "ArrowDown") {
    event.preventDefault();
    moveBy(row, event.key === "ArrowUp");
  }
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-move]");
  if (button) moveBy(button.closest("tr"), button.dataset.move === "up");
});

/** What a running job last said of itself, in its row. */
function progress(event) {
  const place = document.querySelector(`[data-progress="${Number(event.job)}"]`);
  if (!place) return;
  const { step, total_steps: total, epoch, loss, read, pages, pending, message, eta_seconds: left } = event.data;
  const parts = [];
  if (step !== undefined) parts.push(total ? `step ${step.toLocaleString()} of ${total.toLocaleString()}` : `step ${step.toLocaleString()}`);
  if (epoch !== undefined) parts.push(`epoch ${Number(epoch).toFixed(1)}`);
  if (loss !== undefined && loss !== null) parts.push(`loss ${loss.toFixed(3)}`);
  if (read !== undefined) parts.push(`${read.toLocaleString()} documents read`);
  if (pages !== undefined) parts.push(`${pages.toLocaleString()} pages, ${pending.toLocaleString()} pending`);
  if (left) parts.push(`${duration(left)} left`);
  if (!parts.length && message) parts.push(message);
  if (parts.length) place.textContent = parts.join(" · ");
}

callingButtons(changed);
document.addEventListener("renewed", makeSortable);
makeSortable();
listen(["job.*"], changed);
listen(["run.progress", "run.reading", "run.crawling", "run.note"], progress);

document.getElementById("schedule")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  problem(form);
  const { name, cron, command } = formValues(form);
  try {
    await call("schedule.add", { name, cron, command: command.match(/"[^"]*"|'[^']*'|\S+/g).map((word) => word.replace(/^(["'])(.*)\1$/, "$2")) });
    form.reset();
    toast(`The schedule ${name} is set.`);
    await changed();
  } catch (error) {
    problem(form, error.message);
  }
});
