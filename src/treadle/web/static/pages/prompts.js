// Prompts: the questions of a template with what they make, a prompt written by hand, and changes as new versions.

import { busy, bytes, call, callingButtons, el, problem, stream, toast } from "../treadle.js";
import { pairs, settingsForm } from "./settings.js";
import { uploadOne } from "./upload.js";

const SOON = 250;  // milliseconds after the last key that a preview is asked for
const made = document.getElementById("new-prompt"), edited = document.getElementById("edit-prompt");
const form = made ?? edited;
const at = (name) => `/prompts/stored/${encodeURIComponent(name)}`;

callingButtons(() => location.reload());

const tagsOf = (text) => text.split(",").map((tag) => tag.trim()).filter(Boolean);
const chosen = (root) => root.querySelector('[name="negative-from"]:checked')?.value;

/** The negative text as operations take it; undefined for purposes without one. */
function negativeOf(root) {
  const from = chosen(root);
  return from === undefined ? undefined : from === "default" ? "default" : root.elements.negative.value;
}

// How long the text is.
function measure(place, length) {
  const tokens = Math.round(length / Number(place.dataset.ratio)), most = Number(place.dataset.most ?? Infinity);
  place.querySelector("span").textContent = String(tokens);
  place.classList.toggle("over", tokens > most);
  const meter = place.querySelector("meter");
  if (meter) meter.value = tokens;
}

// Files that go with it: `added` holds what is new as KIND=PATH, `gone` the kinds that are left out.
const added = new Map(), gone = new Set();
const box = form?.querySelector("[data-inputs]");

function addInput(kind, path, shown) {
  box.querySelector(`[data-kind="${kind}"]`)?.remove();
  gone.delete(kind);
  added.set(kind, path);
  box.querySelector("[data-rows]").append(el("li", { "data-kind": kind }, el("strong", {}, kind), ` ${shown} `,
    el("button", { type: "button", class: "quiet", "data-drop-input": true, "aria-label": `Leave out the ${kind}` }, "Leave out")));
  changed();
}

if (box) {
  const kind = box.querySelector("select"), path = box.querySelector("input:not([type=file])"), file = box.querySelector("[type=file]");
  const bar = box.querySelector("progress");
  box.querySelector("[data-add-input]").addEventListener("click", () => {
    if (!path.value.trim()) { path.focus(); return; }
    addInput(kind.value, path.value.trim(), path.value.trim());
    path.value = "";
  });
  file.addEventListener("change", async () => {
    const [one] = file.files;
    if (!one) return;
    bar.hidden = false;
    problem(form);
    try {
      addInput(kind.value, await uploadOne(one, (share) => { bar.value = share; }), `${one.name}, ${bytes(one.size)}`);
    } catch (error) { problem(form, error.message); }
    bar.hidden = true;
    file.value = "";
  });
  box.addEventListener("click", (event) => {
    const row = event.target.closest("[data-drop-input]")?.closest("li");
    if (!row) return;
    if (!added.delete(row.dataset.kind)) gone.add(row.dataset.kind);
    row.remove();
    changed();
  });
}

const inputsOf = () => [...added].map(([kind, path]) => `${kind}=${path}`);

/** What the questions were answered with. */
const answersOf = (root) => [...root.querySelectorAll("[data-answer]")].filter((one) => one.value.trim()).map((one) => `${one.dataset.answer}=${one.value.trim()}`);

/** What of a new prompt every operation takes. */
function request(root) {
  const negative = negativeOf(root);
  return { set: pairs(root), input: inputsOf(), ...(negative === undefined ? {} : { negative }), ...(root.dataset.template ? { answer: answersOf(root) } : {}) };
}

// The preview of a template, a moment after the last change.
let waiting = 0, newest = 0;
function changed() {
  if (!made?.dataset.template) return;
  clearTimeout(waiting);
  waiting = setTimeout(preview, SOON);
}

async function preview() {
  const asked = ++newest;
  try {
    const found = await call("prompt.wizard", { template: made.dataset.template, ...request(made) });
    if (asked !== newest) return;
    problem(made);
    document.getElementById("preview-text").textContent = found.text;
    measure(made.querySelector("[data-length]"), found.text.length);
    const place = document.getElementById("preview-remarks"), hints = JSON.parse(place.dataset.hints);
    const hint = (one) => hints[one.about]?.replace("{kind}", one.kind) ?? "";
    place.replaceChildren(el("ul", { class: "remarks" }, found.remarks.map((one) => one.about === "source"
      ? el("li", { class: "notice" }, hint(one))  // what is still to come is no error
      : el("li", { class: one.level === "error" ? "notice bad" : "notice" }, `${one.text} ${hint(one)}`))));
  } catch (error) { if (asked === newest) problem(made, error.message); }
}

if (form) {
  settingsForm(form);
  form.addEventListener("input", (event) => {
    if (event.target.name === "negative-from") form.elements.negative.hidden = event.target.value === "default";
    if (event.target.id === "text") measure(form.querySelector("[data-length]"), event.target.value.length);
    if (event.target.id !== "name" && event.target.type !== "file") changed();
  });
  // What was written before this script was there, or is kept by the browser when the page is loaded again.
  if ([...form.querySelectorAll("input, textarea")].some((one) => one.value !== one.defaultValue)) changed();
}

made?.addEventListener("submit", (event) => {
  event.preventDefault();
  problem(made);
  busy(event.submitter, async () => {
    const { template, purpose } = made.dataset, name = made.elements.name.value;
    const given = template ? { name, template, purpose } : { name, purpose, prompt: made.elements.text.value };
    try {
      await call("prompt.new", { ...given, ...request(made), tag: tagsOf(made.elements.tags.value) });
      location.assign(at(name));
    } catch (error) { problem(made, error.message); }
  });
});

edited?.addEventListener("submit", (event) => {
  event.preventDefault();
  problem(edited);
  busy(event.submitter, async () => {
    const { name, version } = edited.dataset, text = edited.elements.text, tags = edited.elements.tags;
    const before = tagsOf(tags.defaultValue), after = tagsOf(tags.value), negative = negativeOf(edited);
    const given = { name, version: Number(version), set: pairs(edited), input: inputsOf(), without: [...gone],
      tag: after.filter((tag) => !before.includes(tag)), untag: before.filter((tag) => !after.includes(tag)) };
    if (text.value !== text.defaultValue) given.text = text.value;
    const own = edited.elements.negative;
    if (negative !== undefined && (own.value !== own.defaultValue || !edited.querySelector(`[name="negative-from"][value="${chosen(edited)}"]`).defaultChecked)) given.negative = negative;
    try {
      const answer = await call("prompt.edit", given);
      if (answer.changed) location.assign(at(name));
      else toast(`Version ${answer.version} says the same; nothing was stored.`);
    } catch (error) { problem(edited, error.message); }
  });
});

const enhance = document.getElementById("enhance");
const byServer = (form) => form.elements.writer.selectedOptions[0].dataset.by === "address";

/** Who shall write, as the operation takes it. */
function writerOf({ writer, address }) {
  const { by } = writer.selectedOptions[0].dataset;
  return by === "address" ? { using: address.value.trim() } : { [by]: writer.value };
}

/** A text that was proposed, where it can be changed and kept. */
function propose(answer) {
  const text = edited.elements.text;
  text.value = answer.text;
  measure(edited.querySelector("[data-length]"), text.value.length);
  text.focus();
  toast("Look at the text, change it, and keep it as a new version.");
}

/** Wait for what a host writes; whoever leaves the page finds the new version here later. */
async function written(job, only) {
  const place = enhance.querySelector(".waits");
  place.replaceChildren("Job ", el("a", { href: `/queue/${job}` }, String(job)), " has it written; it goes on if you leave this page.");
  place.hidden = false;
  try {
    const answer = await stream("jobs.follow", { job });
    if (only) propose(answer);
    else location.assign(at(enhance.dataset.name));
  } finally { place.hidden = true; }
}

enhance?.elements.writer.addEventListener("change", () => {
  enhance.elements.address.closest(".field").hidden = !byServer(enhance);
});

enhance?.addEventListener("submit", (event) => {
  event.preventDefault();
  problem(enhance);
  if (byServer(enhance) && !enhance.elements.address.value.trim()) { enhance.elements.address.focus(); return; }
  busy(event.submitter, async () => {
    const { name } = enhance.dataset, only = event.submitter.value === "yes";
    try {
      const answer = await call("prompt.enhance", { name, ...writerOf(enhance.elements), preview: only });
      if (answer.queued) await written(answer.queued, only);
      else if (only) propose(answer);
      else location.assign(at(name));
    } catch (error) { problem(enhance, error.message); }
  });
});

// What a video comes to in the words of the chosen backend, before it is queued.
const explain = document.getElementById("explain");
explain?.addEventListener("click", () => busy(explain, async () => {
  const { backend, model } = document.getElementById("run-form").elements, place = document.getElementById("comes-to");
  const dialect = backend.value.replace(/-(cli|server)$/, "");
  const given = dialect === "local-tiny" && model?.value ? { model: model.value } : {};
  try {
    const found = await call("transfer.explain", { source: explain.dataset.name, dialect, ...given });
    const one = found.input, clips = found.clips.length === 1 ? "1 clip" : `${found.clips.length} clips`;
    place.replaceChildren(
      el("p", {}, `${one.frames} frames of ${one.width}×${one.height} in ${clips}: ${found.frames_made} frames are made, ${Math.round(found.waste * 100)} % of them for nothing.`),
      el("ul", { class: "remarks" }, [...found.unsaid.map((line) => el("li", { class: "notice bad" }, `Not said: ${line}`)),
        ...found.remarks.map((line) => el("li", { class: "muted" }, line))]));
  } catch (error) { place.replaceChildren(el("p", { class: "problem", role: "alert" }, error.message)); }
}));
