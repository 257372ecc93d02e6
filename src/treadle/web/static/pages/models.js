// The pages of models: making one, its settings, copies and names, and drawing for one that knows pictures.

import { busy, call, callingButtons, el, listen, problem, renew, said, toast } from "../treadle.js";
import { overrides, settingsForm } from "./settings.js";
import { uploadOne } from "./upload.js";

callingButtons(() => renew("cards"));
const cards = document.getElementById("cards");
if (cards) listen("job.*", () => renew("cards"));

document.getElementById("new-form")?.addEventListener("treadle:done", (event) => location.assign(`/data?model=${encodeURIComponent(event.detail.name)}`));

const form = document.getElementById("settings-form");
if (form) {
  settingsForm(form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    problem(form);
    const changed = overrides(form);
    if (!changed.length) { toast("Nothing was changed."); return; }
    busy(event.submitter, async () => {
      try {
        const answer = await call("set", { model: form.dataset.model, overrides: changed });
        toast(`${answer.changed.length} ${answer.changed.length === 1 ? "setting" : "settings"} kept with ${answer.model}.`);
        setTimeout(() => location.reload(), 900);
      } catch (error) { problem(form, error.message); }
    });
  });
}

for (const one of document.querySelectorAll("form[data-go]")) {
  one.addEventListener("submit", (event) => {
    event.preventDefault();
    problem(one);
    busy(event.submitter, async () => {
      try {
        const answer = await call(one.dataset.go, { model: one.dataset.model, name: one.elements.name.value });
        location.assign(`/models?model=${encodeURIComponent(answer.name)}`);
      } catch (error) { problem(one, error.message); }
    });
  });
}
document.getElementById("import-form")?.addEventListener("treadle:done", (event) => location.assign(`/models?model=${encodeURIComponent(event.detail.name ?? event.detail.model)}`));
document.getElementById("import-file")?.addEventListener("change", async (event) => {
  const { files, nextElementSibling: bar } = event.target, importing = document.getElementById("import-form");
  if (!files[0]) return;
  bar.hidden = false;
  try {
    importing.elements.path.value = await uploadOne(files[0], (share) => { bar.value = share; });
  } catch (error) { problem(importing, error.message); }
  bar.hidden = true;
});
document.getElementById("export-form")?.addEventListener("treadle:done", (event) => toast(said(event.detail)));

// drawing: white on black, with a brush as thick as the strokes that such models learn from
const place = document.getElementById("draw");
if (place) {
  const canvas = place.querySelector("canvas"), ink = canvas.getContext("2d"), file = document.getElementById("draw-file");
  let last = null, touched = false;
  const clear = () => { ink.fillStyle = "#000"; ink.fillRect(0, 0, canvas.width, canvas.height); touched = false; };
  const at = (event) => { const box = canvas.getBoundingClientRect(); return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height]; };
  clear();
  Object.assign(ink, { lineCap: "round", lineJoin: "round", lineWidth: 22, strokeStyle: "#fff" });
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); last = at(event); stroke(last); });
  canvas.addEventListener("pointermove", (event) => { if (last) stroke(at(event)); });
  for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, () => { last = null; });

  function stroke(to) {
    ink.beginPath();
    ink.moveTo(...last);
    ink.lineTo(...to);
    ink.stroke();
    last = to;
    touched = true;
    file.value = "";
  }

  place.querySelector("[data-draw-clear]").addEventListener("click", () => { clear(); file.value = ""; document.getElementById("draw-answer").replaceChildren(); });
  place.querySelector("[data-draw-answer]").addEventListener("click", (event) => busy(event.currentTarget, async () => {
    problem(place);
    try {
      const picture = file.files[0] ?? (touched ? new File([await new Promise((resolve) => canvas.toBlob(resolve, "image/png"))], "drawing.png", { type: "image/png" }) : null);
      if (!picture) throw new Error("Draw something first, or choose a picture.");
      const answer = await call("predict", { model: place.dataset.model, files: [await uploadOne(picture)] });
      if (!answer.predictions.length) throw new Error(answer.refused[0]?.detail ?? "This picture cannot be read.");
      document.getElementById("draw-answer").replaceChildren(answered(answer.predictions[0]));
    } catch (error) { problem(place, error.message); }
  }));
}

function answered({ class: name, probability, probabilities }) {
  const rows = Object.entries(probabilities).slice(0, 5).flatMap(([label, share]) => [
    el("span", {}, label),
    el("svg", { width: "100%", height: 8, "aria-hidden": "true" }, el("rect", { class: "track", width: "100%", height: 8, rx: 4 }), el("rect", { class: "done", width: `${(share * 100).toFixed(1)}%`, height: 8, rx: 4 })),
    el("span", { class: "num" }, `${(share * 100).toFixed(1)} %`)]);
  return el("div", {}, el("p", { class: "lead" }, "It is ", el("strong", {}, name), ` (${(probability * 100).toFixed(0)} %)`), el("div", { class: "shares" }, rows));
}
