// A text whose words can be selected, by mouse or from word to word by keys, and marked.

import { cut, node, toPoints, words, wrapped } from "../text.js";

export class Marking {
  // box: the element; changed(): after the selection changed; marks(): the marks to draw.
  constructor(box, { selected, marks }) {
    Object.assign(this, { box, selected, marks });
    this.selection = null;
    box.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("selectionchange", () => this.byMouse());
    box.addEventListener("pointerup", (event) => this.take(event));
  }

  show(text) {
    this.text = text;
    this.words = words(text);
    this.selection = null;
    this.at = -1;
    this.draw();
  }

  draw() {
    const spans = this.marks().map((mark) => ({ ...mark, make: (words_) => node("mark", words_, mark.className) }));
    if (this.selection && !spans.some((mark) => mark.start < this.selection.end && this.selection.start < mark.end)) {
      spans.push({ ...this.selection, make: (words_) => node("span", words_, "selected") });
    }
    spans.sort((one, other) => one.start - other.start);
    const clear = [];
    for (const span of spans) if (!clear.length || span.start >= clear.at(-1).end) clear.push(span);
    this.box.replaceChildren(...wrapped(this.text, clear));
  }

  select(start, end) {
    this.selection = end > start ? { start, end } : null;
    this.draw();
    this.selected?.();
  }

  byMouse() {
    const range = document.getSelection();
    if (!range.rangeCount || range.isCollapsed || !this.box.contains(range.anchorNode)) return;
    this.range = range.getRangeAt(0);
  }

  // What the mouse selected, widened to whole words; a click or a tap selects one word.
  take(event) {
    const range = document.getSelection();
    if (!range.rangeCount || !this.box.contains(range.anchorNode)) return;
    const real = range.getRangeAt(0);
    const before = document.createRange();
    before.setStart(this.box, 0);
    before.setEnd(real.startContainer, real.startOffset);
    const start = toPoints(this.text, before.toString().length);
    if (range.isCollapsed) return this.tap(start, event);
    const end = start + [...real.toString()].length;
    const hit = this.words.filter((word) => word.start < end && start < word.end);
    if (!hit.length) return;
    this.at = this.words.indexOf(hit.at(-1));
    range.removeAllRanges();
    this.select(hit[0].start, hit.at(-1).end);
  }

  // A tap beside what is selected makes that longer: a finger cannot hold Shift.
  tap(place, event) {
    const at = this.words.findIndex((word) => word.start <= place && place < word.end);
    const word = this.words[at];
    if (!word) return;
    const chosen = this.selection;
    const beside = chosen && [this.words[at - 1]?.end, this.words[at + 1]?.start]
      .some((border) => border === chosen.end || border === chosen.start);
    this.at = at;
    if (chosen && (event.shiftKey || (event.pointerType === "touch" && beside))) {
      this.select(Math.min(chosen.start, word.start), Math.max(chosen.end, word.end));
    } else if (chosen?.start === word.start && chosen.end === word.end) this.select(0, 0);
    else this.select(word.start, word.end);
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 8, ArrowUp: -8 }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey || !this.words.length) return;
    event.preventDefault();
    const turn = getComputedStyle(this.box).direction === "rtl" && Math.abs(step) === 1 ? -step : step;
    this.at = Math.min(Math.max(this.at + turn, 0), this.words.length - 1);
    const word = this.words[this.at];
    if (event.shiftKey && this.selection) {
      this.anchor ??= this.selection;
      this.select(Math.min(this.anchor.start, word.start), Math.max(this.anchor.end, word.end));
    } else {
      this.anchor = null;
      this.select(word.start, word.end);
    }
  }

  pick(word) {
    this.at = this.words.findIndex((one) => one.start === word.start);
    this.anchor = null;
    this.select(word.start, word.end);
    this.box.focus({ preventScroll: true });
  }

  quote(mark) {
    return cut(this.text, mark.start, mark.end);
  }
}

// Add a mark; those that it overlaps give way.
export function withMark(marks, mark) {
  const others = marks.filter((one) => one.side !== mark.side || one.end <= mark.start || mark.end <= one.start);
  return [...others, mark].sort((one, other) => one.side.localeCompare(other.side) || one.start - other.start);
}
