// Files before and after cleaning: what each step did, and which lines are others now.

import { call, el, formValues, problem } from "../treadle.js";
import { dropZone, upload } from "./upload.js";

const form = document.getElementById("preview");
const shown = document.getElementById("shown");
const again = document.getElementById("again");
let path = null;

async function look() {
  problem(form);
  shown.setAttribute("aria-busy", "true");
  try {
    const answer = await call("data.preview", { paths: [path], ...changedValues() });
    shown.replaceChildren(...answer.documents.map(card));
    again.hidden = false;
  } catch (error) {
    problem(form, error.message);
  } finally {
    shown.removeAttribute("aria-busy");
  }
}

/** Settings that differ from what the form began with: the others are the dataset's. */
function changedValues() {
  const given = formValues(form);
  for (const field of form.elements) {
    if (!field.name || field.id === "p-dataset" || field.id === "p-documents") continue;
    const same = field.type === "checkbox" ? field.checked === field.defaultChecked
      : field.tagName === "SELECT" ? [...field.options].every((one) => one.selected === one.defaultSelected) || (field.selectedIndex === 0 && ![...field.options].some((one) => one.defaultSelected))
        : field.value === field.defaultValue;
    if (same) delete given[field.name];
  }
  return given;
}

function card(document_) {
  const facts = Object.entries(document_.facts).filter(([, value]) => ["string", "number"].includes(typeof value));
  return el("section", { class: "card" },
    el("h2", {}, document_.source.split("/").pop(), " ", document_.refused ? el("span", { class: "badge state-bad" }, `refused: ${document_.refused.replaceAll("_", " ")}`) : el("span", { class: "badge state-done" }, "kept")),
    el("ol", { class: "plain steps" }, ...document_.steps.map((step) => el("li", {}, el("span", { class: `badge does-${step.does}` }, step.does), ` ${step.step} `, el("span", { class: "muted" }, step.why)))),
    document_.before || document_.after ? sides(document_.before, document_.after) : null,
    facts.length ? el("details", {}, el("summary", {}, "Facts"), el("dl", { class: "facts" }, ...facts.flatMap(([key, value]) => [el("dt", {}, key.replaceAll("_", " ")), el("dd", {}, String(value))]))) : null,
  );
}

function sides(before, after) {
  const there = new Set(after.split("\n"));
  const was = new Set(before.split("\n"));
  return el("div", { class: "before-after" },
    el("div", {}, el("h3", {}, "Before"), lines(before, there, "gone")),
    el("div", {}, el("h3", {}, "After"), lines(after, was, "come")));
}

function lines(text, other, mark) {
  return el("pre", { tabindex: 0 }, ...text.split("\n").slice(0, 2000).map((line) => el("span", { class: other.has(line) ? "line" : `line ${mark}` }, `${line}\n`)));
}

dropZone(document.getElementById("drop"), async (files) => {
  problem(form);
  try {
    const sent = await upload(files, document.getElementById("sending"));
    if (!sent) return;
    path = sent.path;
    await look();
  } catch (error) {
    problem(form, error.message);
  }
});
again.addEventListener("click", look);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (path) look();
});
