// A text whose tokens tell how likely they were: shaded, with the details of the one under the pointer or the cursor.

import { el } from "../treadle.js";

const LEVELS = [0.5, 0.2, 0.05, 0.01];

/** How surprising a probability is: 0 (expected) to 4. */
export function level(probability) {
  const found = LEVELS.findIndex((limit) => probability >= limit);
  return found === -1 ? LEVELS.length : found;
}

function percent(probability) {
  if (probability >= 0.9995) return "100 %";
  if (probability >= 0.1) return `${(probability * 100).toFixed(1)} %`;
  return probability >= 0.0001 ? `${(probability * 100).toFixed(2)} %` : "< 0.01 %";
}

/** White space as signs that can be seen. */
export function visible(text) {
  if (text === "") return "(end)";
  return text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replace(/^ +| +$/g, (found) => "␣".repeat(found.length));
}

/** Tokens beside the pieces of the text that they stand for; those that are parts of one character go together. */
function aligned(text, tokens) {
  const pieces = [];
  let at = 0;
  let open = [];
  const close = (until) => {
    if (open.length) pieces.push({ text: text.slice(at, until), tokens: open });
    open = [];
    at = until;
  };
  tokens.forEach((token) => {
    const whole = !token.token.includes("\ufffd") && token.token !== "";
    const found = whole ? text.indexOf(token.token, at) : -1;
    if (found === -1 || (found > at && open.length === 0)) {
      open.push(token);
      return;
    }
    close(found);
    pieces.push({ text: token.token, tokens: [token] });
    at = found + token.token.length;
  });
  close(text.length);
  return pieces;
}

/** Show `text` in `place`; `tokens` each have `token`, `probability`, and `others` with `token` and `probability`. */
export function showTokens(place, details, text, tokens) {
  const pieces = aligned(text, tokens);
  const spans = pieces.map((piece, index) => {
    const least = Math.min(...piece.tokens.map((token) => token.probability));
    return el("span", { class: `token t${level(least)}`, "data-index": index }, piece.text);
  });
  place.replaceChildren(...spans);
  place.tabIndex = 0;
  let current = -1;
  const show = (index) => {
    if (index < 0 || index >= spans.length) return;
    spans[current]?.classList.remove("current");
    current = index;
    spans[index].classList.add("current");
    details.replaceChildren(...pieces[index].tokens.map(described));
  };
  place.onpointerover = (event) => {
    const index = event.target.dataset?.index;
    if (index !== undefined) show(Number(index));
  };
  place.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -spans.length, End: spans.length }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    show(Math.max(0, Math.min(spans.length - 1, current + step)));
    spans[current].scrollIntoView({ block: "nearest" });
  };
}

/** One token with what stood beside it. */
function described(token) {
  const rows = (token.others ?? []).map((other) =>
    el("tr", { class: other.token === token.token ? "chosen" : "" },
      el("td", {}, el("code", {}, visible(other.token))),
      el("td", { class: "num" }, percent(other.probability)),
      el("td", {}, el("meter", { min: 0, max: 1, value: other.probability, "aria-label": percent(other.probability) })),
    ));
  const rank = token.rank ? `, number ${token.rank} of the guesses` : "";
  return el("div", { class: "token-facts" },
    el("p", {}, el("code", { class: "token-name" }, visible(token.token)), ` ${percent(token.probability)}${rank}`),
    rows.length ? el("table", {}, el("caption", { class: "sr" }, "The likeliest in its place"), el("tbody", {}, ...rows)) : "",
  );
}
