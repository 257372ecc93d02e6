// Results: rated with keys, tagged, compared with what they were made from, and files asked how they were made.

import { busy, call, callingButtons, el, problem, renew, toast } from "../treadle.js";
import { dropZone, uploadOne } from "./upload.js";

const stars = (rating) => rating === null ? "☆☆☆☆☆" : "★".repeat(rating) + "☆".repeat(5 - rating);
const spoken = (rating) => rating === null ? "not rated" : `rated ${rating} of 5`;
const promptAt = (name) => `/prompts/stored/${encodeURIComponent(name)}`;
const typing = (event) => event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=radio], [type=range]), textarea, select, dialog");

callingButtons(() => renew("said"));

// The grid: small pictures; a video moves while the pointer is on its tile. Arrows go from tile to tile, figures rate.
const grid = document.getElementById("grid");
if (grid) {
  for (const still of grid.querySelectorAll("img.still")) {
    const tile = still.closest(".tile");
    const gone = () => still.replaceWith(el("span", { class: "still gone" }, "No picture of it"));
    if (still.complete && !still.naturalWidth) gone(); else still.addEventListener("error", gone);
    if (!still.dataset.video) continue;
    tile.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "mouse" || tile.querySelector("video")) return;
      const video = el("video", { class: "still moving", muted: true, loop: true, playsinline: true, tabindex: -1, "aria-hidden": "true", src: still.dataset.video });
      video.muted = true;  // the attribute alone does not silence one that a script has made
      still.after(video);
      video.play().catch(() => {});
    });
    tile.addEventListener("pointerleave", () => tile.querySelector("video")?.remove());
  }
  grid.addEventListener("keydown", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile || typing(event)) return;
    if (/^[0-5]$/.test(event.key)) { rateTile(tile, Number(event.key)); return; }
    const tiles = [...grid.children], wide = tiles.filter((one) => one.offsetTop === tiles[0].offsetTop).length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide }[event.key];
    const next = tiles[tiles.indexOf(tile) + (step ?? NaN)];
    if (!next) return;
    event.preventDefault();
    next.querySelector("a").focus();
  });
}

async function rateTile(tile, rating) {
  try {
    const { item } = await call("gallery.rate", { item: tile.dataset.item, rating });
    const place = tile.querySelector("[data-stars]");
    place.textContent = stars(item.rating);
    place.setAttribute("aria-label", spoken(item.rating));
    place.classList.toggle("unrated", item.rating === null);
    toast(`${item.name}: ${spoken(item.rating)}.`);
  } catch (error) { toast(error.message, "bad"); }
}

// One result: rating, note and tags.
const said = document.getElementById("said");
const id = said?.dataset.item;

async function rate(rating) {
  try {
    const { item } = await call("gallery.rate", rating === null ? { item: id, clear: true } : { item: id, rating });
    for (const one of document.querySelectorAll('[name="rating"]')) one.checked = one.value === String(item.rating);
    document.getElementById("clear-rating").hidden = item.rating === null;
    toast(`${spoken(item.rating)[0].toUpperCase()}${spoken(item.rating).slice(1)}.`);
  } catch (error) { toast(error.message, "bad"); }
}

function kept(form, work) {
  problem(form);
  return work().catch((error) => problem(form, error.message));
}

if (document.getElementById("note-form")) {
  document.addEventListener("change", (event) => { if (event.target.name === "rating" && event.target.type === "radio") rate(Number(event.target.value)); });
  document.addEventListener("keydown", (event) => { if (/^[0-5]$/.test(event.key) && !typing(event)) rate(Number(event.key)); });
  document.addEventListener("click", (event) => { if (event.target.id === "clear-rating") rate(null); });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!["note-form", "tag-form", "recall-form"].includes(form.id)) return;
    event.preventDefault();
    busy(event.submitter, () => kept(form, async () => {
      if (form.id === "note-form") { await call("gallery.rate", { item: id, note: form.elements.note.value }); toast("Kept."); return; }
      if (form.id === "tag-form") { await call("gallery.tag", { item: id, tags: [form.elements.tag.value] }); form.elements.tag.blur(); await renew("said"); return; }
      const { saved } = await call("gallery.recall", { file: form.dataset.item, save: form.elements.save.value });
      location.assign(promptAt(saved.name));
    }));
  });
}

// The result over its original: a slider divides them, and both play the same moment.
const beside = document.getElementById("beside");
if (beside) {
  const divide = document.getElementById("divide"), frame = beside.querySelector(".beside-frame");
  divide.addEventListener("input", () => {
    frame.style.setProperty("--divide", `${divide.value}%`);
    divide.setAttribute("aria-valuetext", `${divide.value} % original`);
  });
  const [first, second] = beside.querySelectorAll("video");
  if (second) together(first, second, document.getElementById("play"), document.getElementById("moment"));
}

/** Two videos in step: the first follows the second. Where it is shorter, its last frame stays. */
function together(first, second, play, moment) {
  const far = 0.25, near = 0.02;  // seconds: beyond far it jumps, beyond near it hurries or waits
  first.loop = false;
  const within = (time) => Math.min(time, Math.max(0, (first.duration || 0) - 0.001));
  const follow = () => {
    if (second.paused) return;
    const late = within(second.currentTime) - first.currentTime, over = second.currentTime >= first.duration;
    if (Math.abs(late) > far) { if (!first.seeking) first.currentTime = within(second.currentTime); }
    else first.playbackRate = Math.abs(late) > near ? Math.min(1.5, Math.max(0.6, 1 + 2 * late)) : 1;
    if (first.paused && !over) first.play().catch(() => {});
    requestAnimationFrame(follow);
  };
  const brought = () => new Promise((done) => {
    if (Math.abs(first.currentTime - within(second.currentTime)) < near) { done(); return; }
    first.addEventListener("seeked", done, { once: true });
    first.currentTime = within(second.currentTime);
  });
  play.addEventListener("click", async () => {
    if (!second.paused) { second.pause(); return; }
    await brought();
    await Promise.all([first.play(), second.play()]).catch(() => {});
  });
  const state = () => { play.textContent = second.paused ? "Play" : "Pause"; play.setAttribute("aria-pressed", String(!second.paused)); };
  second.addEventListener("play", () => { state(); requestAnimationFrame(follow); });
  second.addEventListener("pause", () => { state(); first.pause(); brought(); });
  second.addEventListener("waiting", () => first.pause());
  second.addEventListener("timeupdate", () => {
    if (second.duration && document.activeElement !== moment) moment.value = String(Math.round((1000 * second.currentTime) / second.duration));
  });
  moment.addEventListener("input", () => {
    second.pause();
    second.currentTime = (Number(moment.value) / 1000) * (second.duration || 0);
    first.currentTime = within(second.currentTime);
  });
}

// A file is asked how it was made.
const drop = document.getElementById("recall-drop");
if (drop) {
  dropZone(drop, async ([{ file }]) => {
    const card = drop.closest("section"), bar = document.getElementById("recall-bar");
    bar.hidden = false;
    await kept(card, async () => {
      const path = await uploadOne(file, (share) => { bar.value = share; });
      document.getElementById("recalled").replaceChildren(answer(await call("gallery.recall", { file: path }), path, file.name));
    });
    bar.hidden = true;
  });
}

/** What a file says of itself; a prompt in it may be kept under a name. */
function answer(told, path, name) {
  const rows = (facts) => Object.entries(facts).filter(([, value]) => value !== null && typeof value !== "object").map(([key, value]) => [el("dt", {}, key.replaceAll("_", " ")), el("dd", {}, String(value))]);
  const parts = [el("h3", {}, `${name} was made by ${told.tool || "a generation"}`)];
  if (told.prompt) {
    parts.push(el("p", { class: "written" }, told.prompt.text), el("dl", { class: "facts" }, rows(told.prompt.settings ?? {})));
    const field = el("input", { id: "keep-name", name: "save", required: true, pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]*", autocomplete: "off", spellcheck: "false" });
    const form = el("form", { class: "row" }, el("label", { for: "keep-name" }, "Keep it as the prompt"), el("div", { class: "grow" }, field), el("button", { class: "primary" }, "Keep it"), el("p", { class: "problem", role: "alert", hidden: true }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(event.submitter, () => kept(form, async () => {
        const { saved } = await call("gallery.recall", { file: path, save: field.value });
        location.assign(promptAt(saved.name));
      }));
    });
    parts.push(form);
  } else {
    parts.push(el("dl", { class: "facts" }, rows(told.options)));
  }
  if (told.command) parts.push(el("p", {}, "Made again with:"), el("pre", { tabindex: 0 }, told.command));
  return el("div", {}, parts);
}
