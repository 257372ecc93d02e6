// One job: its state and what it prints, as they come.

import { call, callingButtons, listen, renew, toast } from "../treadle.js";

const PARTS = ["job", "events", "result"];
const log = document.getElementById("log-text");
const follow = document.getElementById("log-follow");
const job = Number(log.dataset.job);
let end = Number(log.dataset.end);
let reading = false;

async function readOn() {
  if (reading) return;
  reading = true;
  try {
    const answer = await call("jobs.log", { job, begin: end });
    end = answer.end;
    if (answer.text) {
      document.getElementById("log").hidden = false;
      document.getElementById("log-empty")?.remove();
      log.append(answer.text);
      if (follow.checked) log.scrollTop = log.scrollHeight;
    }
  } catch {
    // It has not begun, so there is no log yet.
  } finally {
    reading = false;
  }
}

callingButtons(() => renew(...PARTS));
log.scrollTop = log.scrollHeight;
document.getElementById("log-copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(log.textContent);
    toast("The log is in the clipboard.");
  } catch {
    toast("This browser does not let a page write to the clipboard.", "bad");
  }
});
listen(["job.*"], (event) => {
  if (event.job === job) renew(...PARTS);
});
listen(["run.log"], (event) => {
  if (event.job === job) readOn();
});
