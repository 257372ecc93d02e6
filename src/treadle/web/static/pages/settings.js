// Forms of settings: only what was changed is sent, as `key=value`.

const fields = (root) => [...root.querySelectorAll("[data-settings] [name]")].filter((one) => !one.disabled);

const first = new WeakMap();
const now = (field) => field.type === "checkbox" ? field.checked : field.value;

/** Follow the changes in a form of settings. */
export function settingsForm(root) {
  for (const field of fields(root)) first.set(field, now(field));
  root.addEventListener("input", (event) => {
    if (event.target.matches("[data-find-setting]")) find(root, event.target.value);
    const place = event.target.closest(".field");
    if (place && first.has(event.target)) place.classList.toggle("changed", now(event.target) !== first.get(event.target));
    const count = overrides(root).length;
    const said = root.querySelector("[data-changed-count]");
    if (said) said.textContent = count ? `${count} changed` : "";
  });
}

const changed = (root) => fields(root).filter((one) => first.has(one) && now(one) !== first.get(one));

/** What was changed, as the operations take it. */
export const overrides = (root) => changed(root).map((one) => `${one.name}=${written(one)}`);

/** What was changed, as prompts take it: texts stand for themselves. */
export const pairs = (root) => changed(root).map((one) => `${one.name}=${one.type === "checkbox" ? one.checked : one.value || "null"}`);

function written(field) {
  if (field.type === "checkbox") return field.checked ? "true" : "false";
  if (field.value === "") return "null";
  if (field.dataset.kind === "text" && !/^[\w.:+\-/[\],]+$/.test(field.value)) return `'${field.value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  return field.value;
}

function find(root, text) {
  const wanted = text.trim().toLowerCase();
  for (const section of root.querySelectorAll("[data-settings] details")) {
    let shown = 0;
    for (const field of section.querySelectorAll(".field")) {
      const hit = !wanted || field.textContent.toLowerCase().includes(wanted) || field.querySelector("[name]")?.name.includes(wanted);
      field.hidden = !hit;
      shown += hit ? 1 : 0;
    }
    section.hidden = !shown;
    section.open = Boolean(wanted) && shown > 0;
  }
}
