// Rate: one of seven scores; below 3 hallucinates.

import { bind } from "../keys.js";

export function makeTask(page) {
  const inputs = [...document.querySelectorAll('input[name="score"]')];
  const text = document.getElementById("text-left");
  for (const input of inputs) {
    input.addEventListener("change", () => page.changed());
    bind(input.value, () => {
      input.checked = true;
      page.changed();
    }, `score ${input.value}`);
  }
  const chosen = () => inputs.find((input) => input.checked);
  return {
    show(item, draft) {
      text.textContent = item.texts[0];
      for (const input of inputs) input.checked = draft?.score === Number(input.value);
    },
    body: () => (chosen() ? { score: Number(chosen().value) } : {}),
    problem: () => (chosen() ? null : "Choose a score from 0 to 6."),
  };
}
