// Open an earlier judgement again.

import { newKey, post } from "./api.js";

for (const time of document.querySelectorAll("time[data-ms]")) {
  time.textContent = new Date(Number(time.dataset.ms)).toLocaleString();
}
for (const button of document.querySelectorAll("[data-reopen]")) {
  const key = newKey();
  button.addEventListener("click", async () => {
    try {
      await post("/api/undo", { key, slot: Number(button.dataset.reopen) });
      location.assign(`/work#${button.dataset.reopen}`);
    } catch (error) {
      document.getElementById("message").textContent = error.message;
    }
  });
}
