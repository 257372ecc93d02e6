// Files to the server in pieces: shown, cancelled, and gone on with after an interruption.
//
// What was begun is remembered in this browser by name, size and date: the same file dropped again after a reload, or
// after the server was away, goes on where it was. Several files of one drop become one folder.

import { bytes, el, request } from "../treadle.js";

const PIECE = 4 * 1024 * 1024;
const PLACE = "/api/v1/uploads";
const KEY = "treadle.uploads";
const PATIENCE_SECONDS = 60;

/** The files behind a drop, those inside folders with their path. */
async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

async function walk(entry, above, found) {
  const path = above ? `${above}/${entry.name}` : entry.name;
  if (entry.isFile) {
    found.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const one of some) await walk(one, path, found);
  }
}

function chosenFiles(input) {
  return [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch {
    return {};
  }
}

function remember(key, id) {
  const known = remembered();
  if (id) known[key] = id;
  else delete known[key];
  try {
    localStorage.setItem(KEY, JSON.stringify(known));
  } catch {
    // Without storage an interrupted upload begins anew.
  }
}

const keyOf = ({ file, path }) => `${path}|${file.size}|${file.lastModified}`;

async function state(id, signal) {
  return (await request("GET", `${PLACE}/${id}`, undefined, {}, signal)).json();
}

/** What is there of a file already: that of an earlier try, or a new upload; `into` makes it lie beside another. */
async function begin(one, into, signal) {
  const known = into ? null : remembered()[keyOf(one)];
  if (known) {
    try {
      return await state(known, signal);
    } catch (error) {
      if (error.status !== 404) throw error;
    }
  }
  const facts = { name: one.path, size: one.file.size, ...(into ? { into } : {}) };
  const made = await (await request("POST", PLACE, facts, {}, signal)).json();
  if (!into) remember(keyOf(one), made.id);
  return made;
}

/** Send one file; resolves to its id. */
async function send(one, into, onProgress, signal) {
  const { id, offset: first } = await begin(one, into, signal);
  let offset = first;
  let since = null;
  onProgress(offset);
  while (offset < one.file.size) {
    try {
      const piece = new Blob([one.file.slice(offset, offset + PIECE)], { type: "application/octet-stream" });
      const told = await request("PATCH", `${PLACE}/${id}`, piece, { "upload-offset": String(offset) }, signal);
      ({ offset } = await told.json());
      since = null;
    } catch (error) {
      if (signal.aborted || (error.status && error.status !== 409 && error.status < 500)) throw error;
      since ??= performance.now();
      if (performance.now() - since > PATIENCE_SECONDS * 1000) {
        throw new Error(`${one.path}: the server does not answer. Drop the file again later: it goes on where it was.`);
      }
      await new Promise((resolve) => setTimeout(resolve, 500));
      try {
        ({ offset } = await state(id, signal));
      } catch (lost) {
        if (signal.aborted || lost.status === 404) throw lost;
      }
    }
    onProgress(offset);
  }
  return id;
}

/** Send one file; `onShare` hears how much of it is there, 0 to 1. Resolves to a path that operations take. */
export async function uploadOne(file, onShare = () => {}) {
  const one = { file, path: file.name };
  const id = await send(one, null, (offset) => onShare(offset / Math.max(1, file.size)), new AbortController().signal);
  remember(keyOf(one), null);
  return `upload:${id}`;
}

const forget = (id) => request("DELETE", `${PLACE}/${id}`).catch(() => {});

/** Send files with a row of progress for each drop in `list`; resolves to paths that operations take. */
export async function upload(files, list) {
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  const name = files.length === 1 ? files[0].path : `${files.length} files`;
  const meter = el("progress", { max: Math.max(1, total), value: 0, "aria-label": `Sending ${name}` });
  const said = el("span", { class: "muted" }, "0 %");
  const cancel = el("button", { type: "button", class: "quiet" }, "Cancel");
  const row = el("li", { class: "sending" }, el("span", { class: "sending-name" }, name), meter, said, cancel);
  list.append(row);
  const control = new AbortController();
  cancel.addEventListener("click", () => control.abort());
  const began = performance.now();
  let done = 0;
  const show = (now) => {
    const sent = done + now;
    meter.value = sent;
    const rate = sent / Math.max(0.2, (performance.now() - began) / 1000);
    said.textContent = `${total ? Math.floor((100 * sent) / total) : 100} % of ${bytes(total)} · ${bytes(rate)}/s`;
  };
  const sent = [];
  try {
    for (const one of files) {
      sent.push(await send(one, sent[0] ?? null, show, control.signal));
      done += one.file.size;
      show(0);
    }
    remember(keyOf(files[0]), null);
    cancel.remove();
    said.textContent = `${bytes(total)} sent`;
    return { path: `upload:${sent[0]}`, row };
  } catch (error) {
    cancel.remove();
    if (!control.signal.aborted) {
      said.textContent = error.message;
      row.classList.add("bad");
      throw error;
    }
    said.textContent = "Cancelled.";
    const first = sent[0] ?? remembered()[keyOf(files[0])];
    if (first) await forget(first);
    remember(keyOf(files[0]), null);
    return null;
  }
}

/** Make a box that takes files: dropped, chosen, or pasted from the keyboard's file dialog. */
export function dropZone(zone, onFiles) {
  const stop = (event) => event.preventDefault();
  zone.addEventListener("dragover", (event) => {
    stop(event);
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", (event) => {
    if (!zone.contains(event.relatedTarget)) zone.classList.remove("over");
  });
  zone.addEventListener("drop", async (event) => {
    stop(event);
    zone.classList.remove("over");
    const files = await droppedFiles(event.dataTransfer);
    if (files.length) onFiles(files);
  });
  for (const input of zone.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => {
      const files = chosenFiles(input);
      input.value = "";
      if (files.length) onFiles(files);
    });
  }
}
