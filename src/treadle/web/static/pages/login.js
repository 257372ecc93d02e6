import { busy, problem, request } from "../treadle.js";

const form = document.getElementById("login");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem(form);
  await busy(event.submitter, async () => {
    try {
      await request("POST", "/api/v1/session", { name: form.elements.name.value, password: form.elements.password.value });
      const target = new URL(form.dataset.then, location.href);  // which leaves out tabs and turns backslashes, as a browser does
      location.assign(target.origin === location.origin ? target : "/");
    } catch (error) { problem(form, error.message); }
  });
});
form.elements.name.focus();
