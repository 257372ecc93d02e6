// Parts of a page that are taken anew from the server, and buttons that call operations.
//
// A page is written once, by its template. When something has changed, the page is fetched again and the parts that
// differ are put in place of the old ones; what the person is typing into is left alone.

import { call, confirm, toast } from "../treadle.js";

let fetching = false;
let again = null;

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
    if (busy(old)) {
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
function busy(part) {
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
