// What all pages share: calling operations, following what happens, and small pieces of the page.

const meta = (name) => document.querySelector(`meta[name="treadle-${name}"]`)?.content ?? "";
let csrf = meta("csrf");

/** Send a request to the API; throws an Error with the server's message, its `kind` and `status`. */
export async function request(method, path, body, headers = {}, signal = undefined) {
  const send = () => fetch(path, {
    method, signal, headers: { "x-treadle-csrf": csrf, ...(body instanceof Blob || body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    body: body === undefined || body instanceof Blob ? body : JSON.stringify(body),
  });
  let answer = await reached(send);
  if (answer.status === 403 && (await facts(answer.clone())).kind === "Csrf") {  // the server was started again
    const session = await fetch("/api/v1/session");
    if (session.ok) { csrf = (await session.json()).csrf; answer = await reached(send); }
  }
  if (answer.status === 401 && !location.pathname.startsWith("/login")) {
    location.assign(`/login?then=${encodeURIComponent(location.pathname)}`);
  }
  if (!answer.ok) {
    const told = await facts(answer);
    throw Object.assign(new Error(told.error ?? `The server answered ${answer.status}.`), { kind: told.kind, status: answer.status });
  }
  return answer;
}

async function reached(send) {
  try { return await send(); } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server cannot be reached. Is `treadle ui` still running?");
  }
}

async function facts(answer) {
  try { return await answer.json(); } catch { return {}; }
}

/** Carry out an operation; resolves with its answer (of a heavy one: the job that was queued). */
export async function call(operation, given = {}) {
  const answer = await request("POST", `/api/v1/operations/${operation}`, given);
  return answer.json();
}

/** Carry out an interactive operation; `onEvent` sees each event. Resolves with the result. */
export async function stream(operation, given, onEvent = () => {}, signal = undefined) {
  const answer = await request("POST", `/api/v1/operations/${operation}`, given, {}, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", result;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return result;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      if (!data) continue;
      const event = JSON.parse(data);
      if (event.type === "error") throw Object.assign(new Error(event.data.error), { kind: event.data.kind });
      if (event.type === "result") result = event.data;
      onEvent(event);
    }
  }
}

// One stream of events for the whole tab. A hidden tab gives it back (a browser has only six connections to a server)
// and goes on from its cursor when it is looked at again, so nothing is missed.
const listeners = [];
let source = null, cursor = meta("cursor"), pause = 500;

/** Call `handler(event)` for each event whose type is in `types` (`"job.*"`, `"run.progress"`); returns how to stop. */
export function listen(types, handler) {
  const entry = { types: [types].flat(), handler };
  listeners.push(entry);
  open();
  return () => { listeners.splice(listeners.indexOf(entry), 1); };
}

function open() {
  if (source || !listeners.length || document.hidden) return;
  source = new EventSource(`/api/v1/events?cursor=${encodeURIComponent(cursor)}`);
  source.onopen = () => { pause = 500; };
  source.onmessage = (message) => {
    cursor = message.lastEventId || cursor;
    const event = JSON.parse(message.data);
    for (const { types, handler } of [...listeners]) {
      if (types.some((type) => type === event.type || type === "*" || (type.endsWith(".*") && event.type.startsWith(type.slice(0, -1))))) {
        handler(event);
      }
    }
  };
  source.onerror = () => {
    if (source?.readyState !== EventSource.CLOSED) return;
    source = null;
    setTimeout(open, pause);
    pause = Math.min(pause * 2, 15000);
  };
}

function shut() { source?.close(); source = null; }
document.addEventListener("visibilitychange", () => { if (document.hidden) shut(); else open(); });
addEventListener("pagehide", shut);
addEventListener("pageshow", open);

/** Make an element: attributes as attributes, `on…` as listeners, `class` and `data-…` too; children are text or nodes. */
export function el(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "rect", "line", "circle", "text", "polyline", "title", "defs", "marker"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name.replace(/^on/, ""), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Say something at the edge of the page for some seconds; `kind` may be "bad". */
export function toast(text, kind = "") {
  const box = el("div", { class: `toast ${kind}` }, text);
  document.getElementById("toasts").append(box);
  setTimeout(() => box.remove(), kind === "bad" ? 12000 : 5000);
}

/** Ask before something that cannot be undone; resolves with true for `action`. */
export function confirm(text, action = "Go on") {
  return new Promise((resolve) => {
    const box = el("dialog", { "aria-label": "Please confirm" },
      el("p", {}, text),
      el("form", { method: "dialog", class: "actions" },
        el("button", { value: "no" }, "Cancel"),
        el("button", { value: "yes", class: "primary" }, action)));
    document.body.append(box);
    box.addEventListener("close", () => { resolve(box.returnValue === "yes"); box.remove(); });
    box.showModal();
  });
}

export const bytes = (n) => {
  for (const [limit, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) if (Math.abs(n) >= limit) return `${(n / limit).toFixed(1)} ${unit}`;
  return `${Math.round(n)} B`;
};
export const duration = (s) => {
  if (s === null || s === undefined) return "–";
  if (s < 9.95) return `${s.toFixed(1)} s`;
  const whole = Math.round(s), two = (n) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
};
/** How many in a second: thousands and millions in short, one decimal below ten. */
export const rate = (n) => n === null || n === undefined ? "–" : n >= 1e6 ? `${(n / 1e6).toFixed(1)} M` : n >= 1e4 ? `${Math.round(n / 1000)}k` : number(n, n < 9.95 ? 1 : 0);
export const number = (n, digits = 0) => n === null || n === undefined ? "–"
  : n.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** The arguments in a form: by name, converted as each field's `data-kind` says; empty fields are left out. */
export function formValues(form) {
  const found = {};
  for (const field of form.elements) {
    const kind = field.dataset?.kind ?? (field.type === "checkbox" ? "checkbox" : "text");
    if (!field.name || field.disabled || field.type === "file" || field.tagName === "BUTTON") continue;
    if (kind === "checkbox") { if (field.checked !== field.defaultChecked || field.checked) found[field.name] = field.checked; continue; }
    if (field.type === "radio" && !field.checked) continue;
    if (field.value === "") continue;
    if (kind === "integer" || kind === "number") found[field.name] = Number(field.value);
    else if (kind === "list") found[field.name] = field.value.split("\n").map((line) => line.trim()).filter(Boolean);
    else found[field.name] = field.value;
  }
  return found;
}

/** Show what is wrong beside the form, or take it away. */
export function problem(form, text = "") {
  const place = form.querySelector(".problem");
  if (place) { place.textContent = text; place.hidden = !text; } else if (text) toast(text, "bad");
}

/** Run `work` once at a time, with the button marked as busy. */
export async function busy(button, work) {
  if (!button) return work();
  if (button.getAttribute("aria-busy") === "true") return undefined;
  button.setAttribute("aria-busy", "true");
  try { return await work(); } finally { button.removeAttribute("aria-busy"); }
}

// Parts of a page that are taken anew from the server, and buttons that call operations. A page is written once, by its
// template: when something has changed, it is fetched again and the parts that differ are put in place of the old ones;
// what the person is typing into is left alone.
let fetching = false, again = null;

/** Take parts of this page (their ids) anew; calls meanwhile are one more fetch afterwards. */
export async function renew(...ids) {
  if (fetching) {
    again = new Set([...(again ?? []), ...ids]);
    return;
  }
  fetching = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (answer.ok) replaceParts(new DOMParser().parseFromString(await answer.text(), "text/html"), ids);
  } catch {
    // The server is away for a moment; the stream of events says so, and the next event fetches again.
  } finally {
    fetching = false;
  }
  if (again) {
    const next = [...again];
    again = null;
    await renew(...next);
  }
}

function replaceParts(fresh, ids) {
  for (const id of ids) {
    const old = document.getElementById(id);
    const part = fresh.getElementById(id);
    if (!old || !part || old.isEqualNode(part)) continue;
    if (inUse(old)) {
      setTimeout(() => renew(id), 1500);
      continue;
    }
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    const open = [...old.querySelectorAll("details[open][id]")].map((one) => one.id);
    old.replaceWith(document.adoptNode(part));
    for (const one of open) document.getElementById(one)?.setAttribute("open", "");
    if (focused) document.getElementById(focused)?.focus();
    part.dispatchEvent(new CustomEvent("renewed", { bubbles: true }));
  }
}

/** Whether a part must stay as it is: something is typed into it, or dragged in it. */
function inUse(part) {
  const here = document.activeElement;
  const typed = part.contains(here) && here.matches("input:not([type=hidden]), textarea");
  return typed || part.querySelector(".dragged, [data-editing]") !== null;
}

/** Buttons with `data-call` call that operation with their `data-arguments` (JSON), after `data-confirm` if given. */
export function callingButtons(afterwards) {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-call]");
    if (!button) return;
    event.preventDefault();
    if (button.dataset.confirm && !(await confirm(button.dataset.confirm, button.textContent.trim()))) return;
    button.disabled = true;
    try {
      const answer = await call(button.dataset.call, JSON.parse(button.dataset.arguments ?? "{}"));
      toast(said(answer));
      if (button.dataset.then) location.assign(button.dataset.then);
      else await afterwards(answer, button);
    } catch (error) {
      toast(error.message, "bad");
    } finally {
      button.disabled = false;
    }
  });
}

/** What an answer says of itself. */
export function said(answer) {
  if (answer.said) return answer.said;
  if (answer.message) return answer.message;
  if (answer.job && answer.position) return `Queued as number ${answer.position} (job ${answer.job}).`;
  if (answer.job) return `Job ${answer.job} is in its queue.`;
  return "Done.";
}

// Forms with `data-operation` need no code of their own.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset?.operation || event.defaultPrevented) return;
  event.preventDefault();
  problem(form);
  await busy(event.submitter, async () => {
    try {
      const answer = await call(form.dataset.operation, formValues(form));
      form.dispatchEvent(new CustomEvent("treadle:done", { detail: answer, bubbles: true }));
      if (form.dataset.then) location.assign(form.dataset.then);
      else toast(said(answer));
    } catch (error) { problem(form, error.message); }
  });
});

const current = document.querySelector(".pages [aria-current]"), strip = current?.closest(".pages");
if (strip && strip.scrollWidth > strip.clientWidth) strip.scrollLeft = current.offsetLeft - strip.clientWidth / 2 + current.offsetWidth / 2;

for (const choice of document.querySelectorAll("[data-model-choice]")) {
  choice.addEventListener("change", () => {
    const address = new URL(location.href);
    address.searchParams.set("model", choice.elements.model.value);
    location.assign(address);
  });
}
document.querySelector("[data-log-out]")?.addEventListener("click", async () => {
  await request("DELETE", "/api/v1/session").catch(() => {});
  location.assign("/login");
});
