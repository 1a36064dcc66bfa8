// Mark: every hallucinated stretch with its kind, or that there is none.

import { Find } from "./find.js";
import { bind } from "../keys.js";
import { Marking, withMark } from "./marking.js";
import { Suspects } from "./suspects.js";
import { node } from "../text.js";

export function makeTask(page) {
  const list = document.getElementById("marks");
  const buttons = [...document.querySelectorAll("#kinds button")];
  let marks = [];
  let clean = false;
  let current = 0;

  const marking = new Marking(document.getElementById("text-left"), {
    marks: () => [
      ...marks,
      ...suspects.open().filter((one) => !marks.some((mark) => mark.start < one.end && one.start < mark.end))
        .map((one) => ({ ...one, className: "suspected" })),
    ],
    selected: () => enable(),
  });
  const suspects = new Suspects({
    accepted: (one) => update(withMark(marks, { side: "left", start: one.start, end: one.end, kind: one.kind || "other" })),
    changed: () => {
      marking.draw();
      page.changed();
    },
  });
  const find = new Find({
    textOf: () => marking.text,
    from: () => marking.selection?.end,
    chosen(word, digit) {
      marking.pick(word);
      if (digit) markAs(buttons[digit - 1].dataset.kind);
    },
    closed: () => marking.box.focus({ preventScroll: true }),
  });

  const enable = () => buttons.forEach((button) => (button.disabled = !marking.selection && !marks[current]));
  function markAs(kind) {
    if (marking.selection) {
      const mark = { side: "left", ...marking.selection, kind };
      marking.selection = null;
      marks = withMark(marks, mark);
      current = marks.indexOf(mark);
    } else if (marks[current]) {
      marks = marks.map((mark, number) => (number === current ? { ...mark, kind } : mark));
    } else return false;
    update(marks);
    return true;
  }
  function update(next) {
    marks = next;
    clean = false;
    current = Math.min(current, Math.max(0, marks.length - 1));
    redraw();
    page.changed();
  }
  function redraw() {
    marking.draw();
    enable();
    list.replaceChildren(...marks.map((mark, number) => {
      const row = node("div", undefined, `change inline${number === current ? " current" : ""}`);
      row.setAttribute("role", "listitem");
      const away = node("button", "Remove", "quiet");
      away.addEventListener("click", () => update(marks.filter((one) => one !== mark)));
      row.append(node("mark", marking.quote(mark)), node("span", mark.kind, "kind"), away);
      row.addEventListener("click", () => go(number));
      return row;
    }));
  }
  function go(number) {
    if (!marks.length) return;
    current = (number + marks.length) % marks.length;
    [...list.children].forEach((row, n) => row.classList.toggle("current", n === current));
  }

  buttons.forEach((button) => {
    button.addEventListener("click", () => markAs(button.dataset.kind));
    bind(button.dataset.key, () => markAs(button.dataset.kind), `mark the selected words: ${button.dataset.kind}`);
  });
  bind("j", () => go(current + 1), "next mark");
  bind("k", () => go(current - 1), "previous mark");
  bind("d", () => update(marks.filter((_, number) => number !== current)), "remove the framed mark");
  void find;

  return {
    show(item, draft) {
      marks = draft?.marks || [];
      clean = Boolean(draft?.nothing_wrong);
      current = 0;
      suspects.show(item, draft);
      marking.show(item.texts[0]);
      redraw();
    },
    body: () => ({
      nothing_wrong: clean,
      marks: marks.map(({ side, start, end, kind }) => ({ side, start, end, kind })),
      suspects: suspects.verdicts(),
    }),
    problem() {
      if (suspects.open().length) return "Say of each suspicion whether it is right: A or R.";
      return marks.length || clean ? null : "Mark what is hallucinated, or say that nothing is wrong (N).";
    },
    nothingWrong() {
      if (marks.length) {
        page.fault("There are marks. Remove them first (D), or submit.");
        return false;
      }
      clean = true;
      return true;
    },
  };
}
