// A chat: one text written in turns. Each message joins the text so far, and the model goes on from there, as
// `treadle chat` does it; each answer is a sample after the same text with the same settings and seed.

import { el, formValues, stream, toast } from "../treadle.js";

const form = document.getElementById("say");
const message = document.getElementById("message");
const turns = document.getElementById("turns");
const settings = document.getElementById("settings");
const stop = document.getElementById("stop");
const retry = document.getElementById("retry");
let text = "";
let before = null;
let last = null;
let running = null;

async function answer(asked) {
  const place = el("div", { class: "turn answer", "aria-busy": "true" });
  turns.append(place);
  last = place;
  running = new AbortController();
  stop.disabled = false;
  form.querySelector("button").disabled = true;
  let first = Boolean(asked);
  before = asked;
  text = asked;
  try {
    await stream("sample", { ...formValues(settings), prompt: asked }, (event) => {
      if (event.type === "text") {
        if (first) first = false; // the prompt comes back first
        else {
          text += event.data.text;
          place.append(event.data.text);
          place.scrollIntoView({ block: "end" });
        }
      } else if (event.type === "result") {
        place.title = `seed ${event.data.seed}, ${event.data.ids.length} tokens`;
      }
    }, running.signal);
  } catch (error) {
    if (error.name !== "AbortError") {
      toast(error.message, "bad");
      if (!place.textContent) place.append(el("span", { class: "bad" }, error.message));
    }
  } finally {
    running = null;
    stop.disabled = true;
    retry.disabled = false;
    form.querySelector("button").disabled = false;
    place.setAttribute("aria-busy", "false");
    message.focus();
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const line = message.value;
  if (running || line === "") return;
  message.value = "";
  document.getElementById("turns-empty")?.remove();
  turns.append(el("div", { class: "turn mine" }, line));
  const joint = text && !text.endsWith("\n") ? "\n" : "";
  answer(text + joint + line);
});
message.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});
stop.addEventListener("click", () => running?.abort());
retry.addEventListener("click", () => {
  if (running || before === null) return;
  last?.remove();
  answer(before);
});
document.getElementById("reset").addEventListener("click", () => {
  if (running) running.abort();
  text = "";
  before = last = null;
  retry.disabled = true;
  turns.replaceChildren();
  toast("A new text begins.");
});
