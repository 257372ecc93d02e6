// A look inside: how well a model expects each token, and what each head of a layer attends to.

import { call, el, formValues, toast } from "../treadle.js";
import { showTokens, visible } from "./tokens.js";

const form = document.getElementById("look");
const attention = document.getElementById("attention");
const maps = document.getElementById("maps");
const strip = document.getElementById("strip");
const layer = document.getElementById("layer");
const note = document.getElementById("attention-note");
let asked = null;
let found = null;
let head = 0;
let row = 0;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  asked = formValues(form);
  const place = document.getElementById("read");
  place.setAttribute("aria-busy", "true");
  try {
    const answer = await call("inspect", asked);
    const tokens = answer.tokens.map((one) => ({
      token: one.text,
      probability: Math.exp(-one.loss),
      rank: one.rank,
      others: [
        { token: one.likeliest, probability: one.probability },
        ...(one.rank > 1 ? [{ token: one.text, probability: Math.exp(-one.loss) }] : []),
      ],
    }));
    showTokens(place, document.getElementById("details"), asked.text, tokens);
    document.getElementById("facts").textContent = `${answer.loss.toFixed(3)} nats/token · ${answer.bits_per_byte.toFixed(3)} bits/byte · ${tokens.length} tokens · step ${answer.step.toLocaleString()} · ${answer.engine} ${answer.precision}`;
    attention.hidden = false;
    maps.replaceChildren();
    strip.replaceChildren();
    note.textContent = "";
    found = null;
  } catch (error) {
    toast(error.message, "bad");
    document.getElementById("facts").textContent = error.message;
  } finally {
    place.setAttribute("aria-busy", "false");
  }
});

document.getElementById("show-attention").addEventListener("submit", async (event) => {
  event.preventDefault();
  attention.setAttribute("aria-busy", "true");
  try {
    found = await call("inspect", { ...asked, maps: Number(layer.value) });
    layer.max = String(found.layers);
    note.textContent = `Layer ${layer.value} of ${found.layers}, ${found.maps.length} heads. Each row is a token, each column one that it looks back to; the darker, the more. Choose a head, then go through the tokens.`;
    head = 0;
    row = found.tokens.length;
    drawHeads();
    drawStrip();
  } catch (error) {
    found = null;
    maps.replaceChildren();
    strip.replaceChildren();
    note.textContent = error.message;
  } finally {
    attention.setAttribute("aria-busy", "false");
  }
});

function drawHeads() {
  maps.replaceChildren(...found.maps.map((shares, index) => {
    const picture = el("canvas", { width: shares.length, height: shares.length, "aria-hidden": "true" });
    const button = el("button", { type: "button", class: "head", "aria-pressed": String(index === head) }, picture, `head ${index + 1}`);
    button.addEventListener("click", () => {
      head = index;
      [...maps.children].forEach((one, place) => one.setAttribute("aria-pressed", String(place === head)));
      drawStrip();
    });
    requestAnimationFrame(() => paint(picture, shares));
    return button;
  }));
}

function paint(picture, shares) {
  const context = picture.getContext("2d");
  context.fillStyle = getComputedStyle(picture).color;
  shares.forEach((line, y) => line.forEach((share, x) => {
    context.globalAlpha = Math.sqrt(share);
    context.fillRect(x, y, 1, 1);
  }));
}

/** The tokens, shaded by what the chosen one attends to in the chosen head. */
function drawStrip() {
  const names = ["(begin)", ...found.tokens.map((token) => visible(token.text))];
  const shares = found.maps[head];
  row = Math.min(row, shares.length - 1);
  strip.replaceChildren(...names.slice(0, shares.length).map((name, index) => {
    const share = shares[row][index] ?? 0;
    const steps = Math.min(5, Math.ceil(share * 10 - 0.2));
    const chosen = index === row;
    const button = el("button", { type: "button", class: `attended a${Math.max(0, steps)}`, "aria-pressed": String(chosen), title: `${name} gets ${(share * 100).toFixed(1)} %` }, name);
    button.addEventListener("click", () => {
      row = index;
      drawStrip();
      strip.children[index].focus();
    });
    return button;
  }));
}
