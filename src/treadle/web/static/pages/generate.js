// The playground: one prompt and one seed, one or two columns of model and settings, text that streams.

import { call, el, formValues, number, stream, toast } from "../treadle.js";
import { showTokens } from "./tokens.js";

const KEY = "treadle.generate.history";
const MOST = 50;
const form = document.getElementById("ask");
const prompt = document.getElementById("prompt");
const seed = document.getElementById("seed");
const sides = [...document.querySelectorAll("[data-side]")];
let running = null;

/** The settings of one column; what is empty is the model's own. */
const settingsOf = (side) => formValues(side.querySelector("form"));

async function write(side, signal, asked) {
  const place = side.querySelector("[data-text]");
  const facts = side.querySelector("[data-facts]");
  side.querySelector("[data-details]").replaceChildren();
  place.replaceChildren();
  place.removeAttribute("tabindex");
  place.onpointerover = place.onkeydown = null;
  facts.textContent = "Reading the prompt…";
  side.setAttribute("aria-busy", "true");
  const began = performance.now();
  let first = null;
  let result = null;
  let pieces = 0;
  try {
    await stream("sample", asked, (event) => {
      if (event.type === "text") {
        // The prompt comes back first; then what is written.
        place.append(pieces === 0 && asked.prompt ? el("span", { class: "prompt" }, event.data.text) : event.data.text);
        pieces += 1;
        if (first === null && (pieces > 1 || !asked.prompt)) first = performance.now();
        facts.textContent = "Writing…";
      } else if (event.type === "result") {
        result = event.data;
      }
    }, signal);
  } finally {
    side.setAttribute("aria-busy", "false");
  }
  if (result === null) {
    facts.textContent = "Stopped.";
    return null;
  }
  const seconds = (performance.now() - (first ?? began)) / 1000;
  const speed = result.ids.length > 1 && seconds > 0 ? ` · ${number(Math.round(result.ids.length / seconds))} tokens/s` : "";
  facts.textContent = `${number(result.ids.length)} tokens (${result.reason}) · seed ${result.seed} · step ${number(result.checkpoint)} · ${result.engine} ${result.precision}${speed}`;
  if (result.logprobs) shade(side, asked.prompt, result);
  return result;
}

/** After the last token: the same text again, each token with its probability. */
function shade(side, asked, result) {
  const place = side.querySelector("[data-text]");
  const written = el("span", { class: "written" });
  place.replaceChildren(...(asked ? [el("span", { class: "prompt" }, asked)] : []), written);
  const tokens = result.logprobs.map((one) => ({
    token: one.token,
    probability: Math.exp(one.logprob),
    others: one.top.map((other) => ({ token: other.token, probability: Math.exp(other.logprob) })),
  }));
  showTokens(written, side.querySelector("[data-details]"), result.text, tokens);
  written.setAttribute("aria-label", "What the model wrote; arrow keys go from token to token");
  written.setAttribute("role", "group");
}

async function run() {
  if (running) return;
  const shown = sides.filter((side) => !side.hidden);
  const chosen = seed.value.trim() === "" ? Math.floor(Math.random() * 2 ** 31) : Number(seed.value);
  if (!Number.isSafeInteger(chosen) || chosen < 0) {
    toast("The seed must be a whole number, 0 or greater.", "bad");
    return;
  }
  running = new AbortController();
  document.body.classList.add("writing");
  document.getElementById("stop").disabled = false;
  document.getElementById("go").disabled = true;
  const asked = shown.map((side) => ({ ...settingsOf(side), prompt: prompt.value, seed: chosen, logprobs: 5 }));
  try {
    const ended = await Promise.allSettled(shown.map((side, index) => write(side, running.signal, asked[index])));
    const kept = ended.map((one) => (one.status === "fulfilled" ? one.value : null));
    ended.forEach((one, index) => {
      if (one.status === "rejected" && one.reason.name !== "AbortError") {
        shown[index].querySelector("[data-facts]").textContent = one.reason.message;
        toast(one.reason.message, "bad");
      } else if (one.status === "rejected") {
        shown[index].querySelector("[data-facts]").textContent = "Stopped.";
      }
    });
    if (kept.some(Boolean)) remember({ time: Date.now(), seed: chosen, prompt: prompt.value, columns: asked.map((one, index) => ({ settings: withoutShared(one), text: kept[index]?.text ?? "" })) });
  } finally {
    running = null;
    document.body.classList.remove("writing");
    document.getElementById("stop").disabled = true;
    document.getElementById("go").disabled = false;
  }
}

function withoutShared({ prompt: _prompt, seed: _seed, logprobs: _logprobs, ...settings }) {
  return settings;
}

function history() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}

function remember(entry) {
  try {
    localStorage.setItem(KEY, JSON.stringify([entry, ...history()].slice(0, MOST)));
  } catch {
    toast("This browser keeps no history (its storage is full or switched off).", "bad");
  }
  showHistory();
}

function showHistory() {
  const entries = history();
  document.getElementById("history-empty").hidden = entries.length > 0;
  document.getElementById("history-clear").hidden = entries.length === 0;
  document.getElementById("history").replaceChildren(...entries.map((entry) => {
    const models = entry.columns.map((column) => column.settings.model).join(" and ");
    const button = el("button", { type: "button", class: "recall" },
      el("span", { class: "recall-prompt" }, entry.prompt || "(a new document)"),
      el("span", { class: "muted" }, `${models} · seed ${entry.seed} · ${new Date(entry.time).toLocaleString()}`),
      el("span", { class: "recall-text" }, entry.columns[0].text.slice(0, 160)),
    );
    button.addEventListener("click", () => recall(entry));
    return el("li", {}, button);
  }));
}

/** Put an earlier request back into the form; it is not sent. */
function recall(entry) {
  prompt.value = entry.prompt;
  seed.value = String(entry.seed);
  showSecond(entry.columns.length > 1);
  entry.columns.forEach((column, index) => fill(sides[index], column));
  prompt.focus();
  toast("The prompt, the seed and the settings are those of then.");
}

function fill(side, column) {
  const fields = side.querySelector("form").elements;
  for (const field of fields) {
    if (!field.name) continue;
    const value = column.settings[field.name];
    if (field.tagName === "SELECT" && field.name === "checkpoint" && value !== undefined && ![...field.options].some((one) => one.value === String(value))) {
      field.append(el("option", { value: String(value) }, `step ${value}`));
    }
    if (field.type === "checkbox") field.checked = Boolean(value);
    else field.value = value === undefined ? (field.tagName === "SELECT" ? field.value : "") : Array.isArray(value) ? value.join("\n") : String(value);
  }
  const place = side.querySelector("[data-text]");
  place.replaceChildren(column.text);
  side.querySelector("[data-details]").replaceChildren();
  side.querySelector("[data-facts]").textContent = "As it was written then.";
}

function showSecond(shown) {
  sides[1].hidden = !shown;
  document.getElementById("sides").classList.toggle("two", shown);
  const button = document.getElementById("compare");
  button.setAttribute("aria-pressed", String(shown));
  button.textContent = shown ? "One column" : "Compare side by side";
}

/** The checkpoints of the model that was chosen in a column. */
async function checkpointsOf(side) {
  const list = side.querySelector("select[name=checkpoint]");
  try {
    const shown = await call("show", { model: side.querySelector("select[name=model]").value });
    const steps = shown.checkpoints.map((row) => row.step).sort((a, b) => b - a);
    list.replaceChildren(el("option", { value: "best" }, "best"), el("option", { value: "latest" }, "latest"),
      ...steps.map((step) => el("option", { value: String(step) }, `step ${number(step)}`)));
  } catch (error) {
    toast(error.message, "bad");
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
for (const side of sides) {
  side.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  side.querySelector("select[name=model]").addEventListener("change", () => checkpointsOf(side));
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    run();
  }
  if (event.key === "Escape" && running) running.abort();
});
document.getElementById("stop").addEventListener("click", () => running?.abort());
document.getElementById("compare").addEventListener("click", () => showSecond(sides[1].hidden));
document.getElementById("dice").addEventListener("click", () => {
  seed.value = "";
  seed.focus();
});
document.getElementById("history-clear").addEventListener("click", () => {
  localStorage.removeItem(KEY);
  showHistory();
});
showHistory();
