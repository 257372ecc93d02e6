import { busy, problem, request } from "../treadle.js";

const form = document.getElementById("login");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem(form);
  await busy(event.submitter, async () => {
    try {
      await request("POST", "/api/v1/session", { name: form.elements.name.value, password: form.elements.password.value });
      location.assign(form.dataset.then);
    } catch (error) { problem(form, error.message); }
  });
});
form.elements.name.focus();
