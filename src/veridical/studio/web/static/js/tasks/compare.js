// Compare: which response hallucinates more, then which is more helpful; words may be marked.

import { bind, keycap } from "../keys.js";
import { Marking, withMark } from "./marking.js";
import { node } from "../text.js";

const SIDES = ["left", "right"];

export function makeTask(page) {
  const inputs = [...document.querySelectorAll("input[data-key]")];
  const list = document.getElementById("marks");
  let marks = [];
  const sides = Object.fromEntries(SIDES.map((side) => [
    side,
    new Marking(document.getElementById(`text-${side}`), {
      marks: () => marks.filter((mark) => mark.side === side),
      selected: () => list.replaceChildren(...rows()),
    }),
  ]));

  const value = (name) => inputs.find((input) => input.name === name && input.checked)?.value;
  function redraw() {
    for (const side of SIDES) sides[side].draw();
    list.replaceChildren(...rows());
  }
  function update(next) {
    marks = next;
    for (const side of SIDES) sides[side].selection = null;
    redraw();
    page.changed();
  }
  function markSelection() {
    const side = SIDES.find((one) => sides[one].selection);
    if (!side) return false;
    update(withMark(marks, { side, ...sides[side].selection, kind: "other" }));
    return true;
  }
  function rows() {
    const made = marks.map((mark) => {
      const row = node("div", undefined, "change inline");
      row.setAttribute("role", "listitem");
      row.append(node("span", `${mark.side}: `, "muted"), node("mark", sides[mark.side].quote(mark)));
      const away = node("button", "Remove", "quiet");
      away.addEventListener("click", () => update(marks.filter((one) => one !== mark)));
      row.append(away);
      return row;
    });
    if (SIDES.some((side) => sides[side].selection)) {
      const row = node("div", undefined, "change inline");
      row.setAttribute("role", "listitem");
      const button = node("button");
      button.append(keycap("m"), "Mark the selected words as hallucinated");
      button.addEventListener("click", markSelection);
      row.append(button);
      made.push(row);
    }
    return made;
  }

  for (const input of inputs) {
    input.addEventListener("change", () => page.changed());
    bind(input.dataset.key, () => {
      input.checked = true;
      page.changed();
    }, `${input.name}: ${input.value}`.replaceAll("_", " "));
  }
  bind("l", () => sides.left.box.focus(), "go to the left answer; ← and → go from word to word");
  bind("r", () => sides.right.box.focus(), "go to the right answer");
  bind("m", markSelection, "mark the selected words");
  bind("d", () => update(marks.slice(0, -1)), "remove the last mark");

  return {
    show(item, draft) {
      marks = draft?.marks || [];
      SIDES.forEach((side, number) => sides[side].show(item.texts[number]));
      for (const input of inputs) input.checked = draft?.[input.name] === input.value;
      redraw();
    },
    body: () => ({
      ...(value("hallucinates_more") && { hallucinates_more: value("hallucinates_more") }),
      ...(value("more_helpful") && { more_helpful: value("more_helpful") }),
      marks: marks.map(({ side, start, end, kind }) => ({ side, start, end, kind })),
    }),
    problem() {
      if (!value("hallucinates_more")) return "Choose which one hallucinates more: 1, 2, 3 or 4.";
      return value("more_helpful") ? null : "Choose which one is more helpful: 5, 6 or 7.";
    },
  };
}
