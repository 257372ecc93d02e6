// Crawls: begin one, watch its frontier, test what the rules say of an address.

import { call, callingButtons, formValues, listen, problem, renew, request, toast } from "../treadle.js";

const begin = document.getElementById("crawl");
const state = document.getElementById("crawl-state");
const test = document.getElementById("rule-test");
const add = document.getElementById("rule-add");
const PARTS = ["crawl-state", "frontier", "crawls", "rules"];

begin?.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem(begin);
  const { target, urls, ...rest } = formValues(begin);
  const into = target.startsWith("model:") ? { into: target.slice(6) } : { dataset: target.slice(8) };
  // A dataset's own settings say how pages are read.
  if (into.dataset) delete rest.mode;
  try {
    const asked = await call("crawl.start", { urls: [urls], ...into, ...rest });
    const { job } = await call("jobs.show", { job: asked.job });
    location.assign(`/data/crawls/${encodeURIComponent(job.queue.slice("crawl:".length))}`);
  } catch (error) {
    problem(begin, error.message);
  }
});

test?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const place = document.getElementById("rule-verdict");
  try {
    const { test: found } = await call("crawl.rules", { action: "test", ...formValues(test) });
    place.className = `verdict ${found.allowed ? "good" : "bad"}`;
    place.textContent = `${found.url} ${found.allowed ? "may be asked for" : "is not asked for"}: ${found.rule}${found.state ? `. So far: ${found.state}` : ""}.`;
  } catch (error) {
    place.className = "verdict bad";
    place.textContent = error.message;
  }
});

add?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const place = document.getElementById("rule-problem");
  place.hidden = true;
  try {
    toast((await call("crawl.rules", { action: "add", ...formValues(add) })).said);
    add.reset();
    await renew("rules");
  } catch (error) {
    place.textContent = error.message;
    place.hidden = false;
  }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-resume]");
  if (!button) return;
  button.disabled = true;
  const control = new AbortController();
  try {
    // The operation follows the crawl to its end; here it is enough that it is in its queue.
    const answer = await request("POST", "/api/v1/operations/crawl.resume", { name: button.dataset.resume }, {}, control.signal);
    await answer.body.getReader().read();
    toast("The crawl goes on.");
    await renew(...PARTS);
  } catch (error) {
    toast(error.message, "bad");
    button.disabled = false;
  } finally {
    control.abort();
  }
});

let last = 0;
callingButtons(() => renew(...PARTS));
listen(["run.crawling"], (event) => {
  if (!state) return;
  const now = document.querySelector("[data-now]");
  if (now && event.queue === `crawl:${state.dataset.crawl}`) now.textContent = `${event.data.pages} pages, ${event.data.pending} pending, ${event.data.accepted} fed`;
  if (Date.now() - last > 1000) {
    last = Date.now();
    renew("crawl-state", "frontier");
  }
});
listen(["job.*"], (event) => {
  if ((event.queue ?? "").startsWith("crawl:")) renew(...PARTS);
});
