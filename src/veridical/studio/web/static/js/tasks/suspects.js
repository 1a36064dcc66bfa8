// Segments that a model or a detector suspects: each is accepted or rejected.

import { bind, keycap } from "../keys.js";
import { cut, node } from "../text.js";

export class Suspects {
  // accepted(suspect): acts on one that was accepted; changed(): after any verdict.
  constructor({ accepted, changed }) {
    this.box = document.getElementById("suspects");
    Object.assign(this, { accepted, changed, list: [] });
    bind("a", () => this.judge(true), "suspected words: they are wrong");
    bind("r", () => this.judge(false), "suspected words: they are fine");
  }

  show(item, draft) {
    const known = draft?.suspects || [];
    this.text = item.texts[0];
    this.list = item.suspects.map((suspect) => {
      const verdict = known.find((one) => one.start === suspect.start && one.end === suspect.end);
      return { ...suspect, accepted: verdict ? verdict.accepted : null };
    });
    this.draw();
  }

  open() {
    return this.list.filter((suspect) => suspect.accepted === null);
  }

  judge(accepted, suspect = this.open()[0]) {
    if (!suspect) return false;
    suspect.accepted = accepted;
    this.draw();
    if (accepted) this.accepted(suspect);
    this.changed();
    return true;
  }

  verdicts() {
    return this.list.filter((one) => one.accepted !== null).map(({ start, end, accepted }) => ({ start, end, accepted }));
  }

  draw() {
    this.box.hidden = !this.list.length;
    const rows = this.list.map((suspect) => {
      const row = node("div", undefined, `suspect${suspect === this.open()[0] ? " current" : ""}`);
      row.append(node("mark", cut(this.text, suspect.start, suspect.end), "suspected"));
      for (const [accepted, key, label] of [[true, "a", "Wrong"], [false, "r", "It’s fine"]]) {
        const button = node("button", undefined, "quiet");
        button.append(keycap(key), label);
        button.setAttribute("aria-pressed", String(suspect.accepted === accepted));
        button.addEventListener("click", () => this.judge(accepted, suspect));
        row.append(button);
      }
      return row;
    });
    this.box.replaceChildren(node("p", "A program suspects these. It is often mistaken, and it misses some.", "muted"), ...rows);
  }
}
