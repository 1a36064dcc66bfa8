// "/" and a few letters select a word; a digit selects it and names a kind at once.

import { words } from "../text.js";

export class Find {
  // textOf: gives the text; start: gives the place to look from; chosen(word, digit): takes the word.
  constructor({ textOf, from, chosen, closed }) {
    this.box = document.getElementById("find-box");
    this.input = document.getElementById("find-text");
    this.hint = document.getElementById("find-hint");
    Object.assign(this, { textOf, from, chosen, closed });
    document.getElementById("find").addEventListener("click", () => this.open());
    this.input.addEventListener("input", () => this.look());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("blur", () => this.close());
  }

  open() {
    this.box.hidden = false;
    this.input.value = "";
    this.found = [];
    this.hint.textContent = "first letters, then Enter or 1–6";
    this.input.focus();
  }

  close() {
    this.box.hidden = true;
  }

  look() {
    const wanted = this.input.value.toLowerCase();
    const all = words(this.textOf());
    const hits = wanted ? all.filter((word) => word.text.toLowerCase().startsWith(wanted)) : [];
    const start = this.from?.() ?? 0;
    this.found = [...hits.filter((word) => word.start >= start), ...hits.filter((word) => word.start < start)];
    this.at = 0;
    this.say();
  }

  say() {
    const count = this.found.length;
    if (!this.input.value) this.hint.textContent = "first letters, then Enter or 1–6";
    else if (!count) this.hint.textContent = "no such word";
    else this.hint.textContent = count === 1 ? this.found[0].text : `${this.found[this.at].text} (${this.at + 1} of ${count}, ↓ next)`;
  }

  key(event) {
    if (event.isComposing) return;
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.close();
      this.closed?.();
    } else if (event.key === "ArrowDown" && this.found.length) {
      event.preventDefault();
      this.at = (this.at + 1) % this.found.length;
      this.say();
    } else if ((event.key === "Enter" || /^[1-6]$/.test(event.key)) && this.found.length) {
      // A digit belongs to the letters while words go on with it.
      const more = this.input.value + event.key;
      if (event.key !== "Enter" && this.found.some((word) => word.text.startsWith(more))) return;
      event.preventDefault();
      event.stopPropagation();
      const word = this.found[this.at];
      this.close();
      this.chosen(word, event.key === "Enter" ? 0 : Number(event.key));
    } else if (event.key === "Enter") {
      event.preventDefault();
      event.stopPropagation();
    }
  }
}
