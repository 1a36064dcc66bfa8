// Correct: edit the answer as plain text; the server says what changed; each change gets a kind.

import { post } from "../api.js";
import { findChanges } from "../diff.js";
import { Find } from "./find.js";
import { bind, labelKeys } from "../keys.js";
import { Suspects } from "./suspects.js";
import { length, node, toPoints, toUnits, wrapped } from "../text.js";

const byId = (id) => document.getElementById(id);
const overlap = (one, other) => Math.min(one[1], other[1]) - Math.max(one[0], other[0]);

export function makeTask(page) {
  const field = byId("text");
  const list = byId("changes");
  let source = "";
  let changes = []; // as the server found them, each with its kind
  let compared = ""; // the text that `changes` are of
  let clean = false;
  let current = 0;
  let timer = 0;
  let running = null;
  let presets = []; // kinds that were named before their words were changed
  let last = ""; // the text before the newest keystroke

  const suspects = new Suspects({
    accepted: (one) => select(one.start, one.end, one.kind),
    changed: () => page.changed(),
  });
  new Find({
    textOf: () => field.value,
    from: () => (document.activeElement === field ? toPoints(field.value, field.selectionEnd) : 0),
    chosen: (word, digit) => select(word.start, word.end, digit ? kindOf(digit) : null),
    closed: () => byId("panel").focus({ preventScroll: true }),
  });

  const kindOf = (digit) => [...byId("change-template").content.querySelectorAll("input")][digit - 1].value;

  function select(start, end, kind) {
    presets = presets.filter((one) => one.start !== start);
    if (kind) presets.push({ start, kind });
    field.focus();
    field.setSelectionRange(toUnits(field.value, start), toUnits(field.value, end));
  }

  function grow() {
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight + 2}px`;
  }

  // ---- what changed

  function edited() {
    clean = false;
    shiftPresets();
    grow();
    clearTimeout(timer);
    timer = setTimeout(compare, 150);
    page.changed();
  }

  // What is typed before a named place moves it.
  function shiftPresets() {
    const old = [...last];
    const now = [...field.value];
    let same = 0;
    while (same < old.length && old[same] === now[same]) same += 1;
    for (const one of presets) if (one.start > same) one.start += now.length - old.length;
    last = field.value;
  }

  function compare() {
    clearTimeout(timer);
    running ??= compareNow().finally(() => (running = null));
    return running;
  }

  async function compareNow() {
    for (let n = 0; n < 5 && compared !== field.value; n++) {
      const item = page.item;
      const text = field.value;
      if (!item) return;
      const answer = text === source ? { changes: [], share: 0 }
        : await post("/api/diff", { slot: item.slot, lease: item.lease, text }).catch((error) => here(error, text));
      if (!answer || page.item !== item) return;
      take(answer, text);
    }
  }

  // Without the server the page compares by itself; the server looks again when it gets the judgement.
  function here(error, text) {
    const found = error.status === 0 || error.status >= 500 ? findChanges(source, text) : null;
    if (!found) {
      byId("change-count").textContent = error.status ? error.message
        : "No connection: the list of changes waits. Your text is kept.";
      return null;
    }
    const count = (words) => words.split(/\s+/).filter(Boolean).length;
    const changed = found.reduce((sum, one) => sum + count(one.rejected), 0);
    return { changes: found, share: changed / Math.max(1, count(source)) };
  }

  function take(answer, text) {
    const before = changes;
    compared = text;
    changes = answer.changes.map((change) => ({ ...change, kind: carried(change, before) }));
    const bare = changes.findIndex((change) => !change.kind);
    current = bare >= 0 ? bare : Math.min(current, Math.max(0, changes.length - 1));
    byId("share").hidden = answer.share <= 0.5;
    byId("share").textContent = "More than half of the words changed. Correct as little as possible.";
    draw();
    page.changed();
  }

  // A kind stays with its change while the text goes on changing.
  function carried(change, before) {
    const best = before
      .map((one) => [overlap(one.rejected_span, change.rejected_span), one])
      .filter(([size, one]) => size > 0 || (size === 0 && one.rejected_span[0] === change.rejected_span[0]))
      .sort((one, other) => other[0] - one[0])[0];
    if (best?.[1].kind) return best[1].kind;
    const [start, end] = change.chosen_span;
    const named = presets.filter((one) => start <= one.start + 1 && one.start <= end + 1);
    named.sort((one, other) => Math.abs(one.start - start) - Math.abs(other.start - start));
    return named[0]?.kind ?? null;
  }

  function draw() {
    const box = byId("difference");
    box.hidden = !changes.length;
    byId("no-changes").hidden = changes.length > 0;
    box.replaceChildren(...wrapped(compared, changes.map((change) => ({
      start: change.chosen_span[0],
      end: change.chosen_span[1],
      make(words) {
        const both = node("span", undefined, "both");
        if (change.rejected) both.append(node("del", change.rejected));
        if (words) both.append(node("ins", words));
        return both;
      },
    }))));
    const count = changes.length;
    byId("change-count").textContent = !count ? "" : `${count} change${count > 1 ? "s" : ""}`;
    list.replaceChildren(...changes.map(row));
  }

  function row(change, number) {
    const made = byId("change-template").content.cloneNode(true).firstElementChild;
    const shown = made.querySelector(".words");
    labelKeys(made);
    if (change.rejected) shown.append(node("del", change.rejected.trim() || "␣"));
    shown.append(" → ");
    if (change.chosen) shown.append(node("ins", change.chosen.trim() || "␣"));
    else shown.append(node("span", "taken out", "muted"));
    shown.dir = "auto";
    made.querySelector("legend").textContent = `Kind of change ${number + 1}`;
    for (const input of made.querySelectorAll("input")) {
      input.name = `kind-${number}`;
      input.checked = input.value === change.kind;
      input.addEventListener("change", () => setKind(number, input.value));
    }
    made.querySelector(".reset").addEventListener("click", () => takeBack(change));
    made.addEventListener("focusin", () => go(number));
    made.classList.toggle("current", number === current);
    made.classList.toggle("bare", !change.kind);
    return made;
  }

  function setKind(number, kind) {
    if (!changes[number]) return false;
    changes[number].kind = kind;
    const made = list.children[number];
    made.classList.remove("bare");
    made.querySelector(`input[value="${kind}"]`).checked = true;
    const bare = changes.findIndex((change) => !change.kind);
    go(bare >= 0 ? bare : number);
    page.changed();
    return true;
  }

  function go(number) {
    if (!changes.length) return;
    current = (number + changes.length) % changes.length;
    [...list.children].forEach((made, n) => made.classList.toggle("current", n === current));
    list.children[current].scrollIntoView({ block: "nearest" });
  }

  function takeBack(change) {
    const points = [...compared];
    points.splice(change.chosen_span[0], change.chosen_span[1] - change.chosen_span[0], ...change.rejected);
    field.value = points.join("");
    edited();
    field.focus();
  }

  field.addEventListener("input", edited);
  addEventListener("resize", grow);
  bind("e", () => {
    field.focus();
    if (changes[current]) {
      const unit = toUnits(field.value, changes[current].chosen_span[1]);
      field.setSelectionRange(unit, unit);
    } else field.setSelectionRange(0, 0);
  }, "edit the answer");
  for (const digit of "123456") {
    bind(digit, () => {
      compare().then(() => setKind(current, kindOf(digit)));
    }, `kind of the framed change: ${kindOf(digit)}`);
  }
  bind("j", () => go(current + 1), "next change");
  bind("k", () => go(current - 1), "previous change");

  return {
    show(item, draft) {
      source = item.texts[0];
      changes = draft?.changes ? draft.changes.map((one) => ({ rejected: "", chosen: "", ...one })) : [];
      clean = Boolean(draft?.nothing_wrong);
      current = 0;
      presets = [];
      field.value = draft?.text ?? source;
      last = field.value;
      compared = source;
      byId("share").hidden = true;
      suspects.show(item, draft);
      if (field.value === source) changes = [];
      draw();
      grow();
      if (field.value !== source) compare();
    },
    left: compare,
    body: () => ({
      text: field.value,
      nothing_wrong: clean,
      changes: changes.map(({ rejected_span, chosen_span, kind }) => ({ rejected_span, chosen_span, kind })),
      suspects: suspects.verdicts(),
    }),
    async problem() {
      if (clean && field.value === source) return null;
      if (suspects.open().length) return "Say of each suspicion whether it is right: A or R.";
      await compare();
      if (compared !== field.value) return "The list of changes is not up to date. Try again in a moment.";
      if (!changes.length) return "Nothing was changed. If the answer holds, choose “Nothing wrong” (N).";
      const bare = changes.findIndex((change) => !change.kind);
      if (bare < 0) return null;
      byId("panel").focus({ preventScroll: true });
      go(bare);
      return "Give each change a kind: 1 to 6.";
    },
    nothingWrong() {
      if (field.value !== source) {
        page.fault("The answer was changed. Take the changes back first, or submit them.");
        return false;
      }
      clean = true;
      return length(source) > 0;
    },
  };
}
