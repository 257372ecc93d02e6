// What came of what, in columns: data, trainings, checkpoints, models; copies go on to the right.

import { el, number } from "../treadle.js";

const COLUMN = { dataset: 0, run: 1, checkpoint: 2, model: 3 };
const WIDE = 190, HIGH = 46, GAP_X = 70, GAP_Y = 14;
const title = (node) => node.kind === "dataset" ? `data, ${node.label}` : node.kind === "model" ? `model ${node.label}` : node.kind === "run" ? `training, ${node.label}` : `checkpoint, ${node.label}`;

const data = document.getElementById("graph-data");
if (data) draw(JSON.parse(data.textContent), document.getElementById("graph"));

function draw({ nodes, edges }, box) {
  const known = new Map(nodes.map((node) => [node.id, node]));
  const models = [...new Set(nodes.map((node) => node.model))];
  let top = 8, right = 0;
  for (const model of models) {
    const own = nodes.filter((node) => node.model === model), heights = [0, 0, 0, 0];
    for (const node of own) {
      const column = COLUMN[node.kind];
      node.x = 8 + column * (WIDE + GAP_X);
      node.y = top + heights[column];
      heights[column] += HIGH + GAP_Y;
      right = Math.max(right, node.x + WIDE);
    }
    const middle = own.find((node) => node.kind === "model");
    if (middle) middle.y = top + Math.max(0, (Math.max(...heights) - HIGH - GAP_Y) / 2);
    top += Math.max(...heights, HIGH) + 18;
  }
  const lines = edges.map((edge) => path(known.get(edge.source), known.get(edge.target), edge.says));
  const boxes = nodes.map(shape);
  box.append(el("svg", { width: right + 60, height: top, viewBox: `0 0 ${right + 60} ${top}`, "aria-hidden": "true" }, lines, boxes));
  for (const cell of document.querySelectorAll("[data-node]")) {
    const node = known.get(cell.dataset.node);
    cell.replaceChildren(node.kind === "run" ? el("a", { href: `/runs/${node.id}` }, title(node)) : title(node), " ", el("span", { class: "muted" }, `of ${node.model}`));
  }
}

function note(node) {
  const { facts } = node;
  if (node.kind === "dataset") return `${number(facts.documents)} document${facts.documents === 1 ? "" : "s"}`;
  if (node.kind === "run") return facts.outcome;
  if (node.kind === "checkpoint") return [...facts.roles, facts.held_out === null ? null : facts.held_out.toFixed(3)].filter(Boolean).join(", ");
  return `${facts.family} ${facts.size}`;
}

function shape(node) {
  const short = (text, most) => text.length > most ? `${text.slice(0, most - 1)}…` : text;
  return el("g", { class: `kind-${node.kind}`, transform: `translate(${node.x} ${node.y})` },
    el("title", {}, `${title(node)} of ${node.model}`),
    el("rect", { width: WIDE, height: HIGH, rx: 8 }),
    el("text", { x: 12, y: 19 }, short(title(node), 26)),
    el("text", { x: 12, y: 36, class: "note" }, short(note(node), 32)));
}

function path(from, to, says) {
  const back = to.x <= from.x;
  const [x1, y1] = [from.x + WIDE, from.y + HIGH / 2], [x2, y2] = back ? [to.x + WIDE, to.y + HIGH / 2] : [to.x, to.y + HIGH / 2];
  const bend = back ? 36 : (x2 - x1) / 2;
  const line = back ? `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 + bend} ${y2} ${x2} ${y2}` : `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  return el("path", { d: line }, el("title", {}, says));
}
