// The board: tasks are dragged or moved by a menu, their priority and title are changed in place.

import "../vendor/Sortable/Sortable.min.js";
import { call, el, formValues, problem, renew, said, toast } from "../treadle.js";

/** What dropping into a column means; a task that is not done cannot go back to what nobody has begun. */
const VERBS = { open: "reopen", going: "start", waiting: "pause", done: "done" };
const add = document.getElementById("add");

async function change(operation, given, focus) {
  try {
    toast(said(await call(operation, given)));
  } catch (error) {
    toast(error.message, "bad");
  }
  await renew("board");
  if (focus) document.getElementById(focus)?.focus();
}

/** Ask for one line before a verb that takes it; null if it was called off. */
function asked(title, label, required) {
  return new Promise((resolve) => {
    const input = el("input", { id: "asked", autocomplete: "off", required });
    const box = el("dialog", { "aria-label": title },
      el("form", { method: "dialog" },
        el("h2", {}, title),
        el("label", { for: "asked" }, label), input,
        el("p", { class: "actions" },
          el("button", { value: "no", formnovalidate: true }, "Cancel"),
          el("button", { value: "yes", class: "primary" }, "Go on"))));
    document.body.append(box);
    box.addEventListener("close", () => {
      resolve(box.returnValue === "yes" ? input.value.trim() : null);
      box.remove();
    });
    box.showModal();
    input.focus();
  });
}

async function moveTask(task, verb) {
  const given = { task };
  if (verb === "block") {
    const because = await asked("Blocked", "What blocks it?", true);
    if (because === null) return renew("board");
    given.because = because;
  }
  if (verb === "done") {
    const evidence = await asked("Done", "What shows it? A run, a commit, a file or a link (may stay empty)", false);
    if (evidence === null) return renew("board");
    if (evidence) given.evidence = evidence;
  }
  return change(`flow.${verb}`, given, `move-${task}`);
}

document.addEventListener("change", (event) => {
  const field = event.target;
  const task = field.closest("[data-task]")?.dataset.task;
  if (task && field.matches("[data-move]") && field.value) {
    const verb = field.value;
    field.value = "";
    field.blur();
    moveTask(task, verb);
  } else if (task && field.matches("[data-priority]") && field.value) {
    field.blur();
    change("flow.prioritise", { task, priority: field.value }, field.id);
  } else if (field.matches("[data-submits]")) {
    field.form.requestSubmit();
  }
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-reword]");
  if (button) reword(button.closest("[data-task]"));
});

/** The title becomes a field: Enter keeps it, Escape leaves it as it was. */
function reword(row) {
  const title = row.querySelector("[data-title]");
  const field = el("input", { value: title.textContent, "aria-label": "Title of the task", "data-editing": true });
  title.replaceWith(field);
  field.focus();
  field.select();
  let over = false;
  const end = async (keep) => {
    if (over) return;
    over = true;
    const text = field.value.trim();
    field.replaceWith(title);
    if (keep && text && text !== title.textContent) await change("flow.edit", { task: row.dataset.task, title: text });
    else row.querySelector("[data-reword]").focus();
  };
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") end(true);
    if (event.key === "Escape") end(false);
  });
  field.addEventListener("blur", () => end(true));
}

add?.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem(add);
  try {
    toast(said(await call("flow.add", formValues(add))));
    add.reset();
    await renew("board");
    document.getElementById("add-title").focus();
  } catch (error) {
    problem(add, error.message);
  }
});

function makeSortable() {
  if (!add) return; // who may not change anything drags nothing
  for (const list of document.querySelectorAll("[data-column]")) {
    window.Sortable.create(list, {
      group: "board",
      handle: ".grip",
      animation: 120,
      sort: false,
      chosenClass: "dragged",
      onEnd: ({ item, from, to }) => {
        item.classList.remove("dragged");
        if (from === to) return;
        const verb = VERBS[to.dataset.column];
        if (verb === "reopen" && from.dataset.column !== "done") {
          toast("What was begun can be paused or finished, not made as if it never was.", "bad");
          from.append(item);
          return;
        }
        moveTask(item.dataset.task, verb);
      },
    });
  }
}

document.addEventListener("renewed", makeSortable);
makeSortable();
