// What changed between two texts, as the server finds it, for when it cannot be reached: the longest
// run of words that both have, then the same on both sides of it. Offsets are code points.

import { cut, isSpace, words } from "./text.js";

const MOST_STEPS = 2_000_000;
const SENTENCE_ENDS = new Set(".!?。！？…");

// The changes, or null where the texts are too long to be compared here.
export function findChanges(rejected, chosen) {
  const a = words(rejected);
  const b = words(chosen);
  const edits = findEdits(a, b);
  if (!edits) return null;
  const points = [[...rejected], [...chosen]];
  return between(points, keptWords(slide(edits, a, b), a, b)).map(([a0, a1, b0, b1]) => ({
    rejected_span: [a0, a1],
    chosen_span: [b0, b1],
    rejected: cut(rejected, a0, a1),
    chosen: cut(chosen, b0, b1),
  }));
}

// ---- matching

function findEdits(a, b) {
  const blocks = matching(a.map((one) => one.text), b.map((one) => one.text));
  if (!blocks) return null;
  const edits = [];
  let [i, j] = [0, 0];
  for (const [x, y, size] of [...blocks, [a.length, b.length, 0]]) {
    if (i !== x || j !== y) edits.push([i, x, j, y]);
    [i, j] = [x + size, y + size];
  }
  return edits;
}

function matching(a, b) {
  const places = new Map();
  b.forEach((item, place) => {
    if (!places.has(item)) places.set(item, []);
    places.get(item).push(place);
  });
  let steps = a.reduce((sum, item) => sum + (places.get(item)?.length ?? 0), 0);
  if (steps > MOST_STEPS) return null;
  steps = 0;
  const found = [];
  const open = [[0, a.length, 0, b.length]];
  while (open.length) {
    const [aLow, aHigh, bLow, bHigh] = open.pop();
    let best = [aLow, bLow, 0];
    let lengths = new Map();
    for (let i = aLow; i < aHigh; i++) {
      const ending = new Map();
      for (const j of places.get(a[i]) ?? []) {
        if (j < bLow || j >= bHigh) continue;
        const size = (lengths.get(j - 1) ?? 0) + 1;
        ending.set(j, size);
        if (size > best[2]) best = [i - size + 1, j - size + 1, size];
      }
      steps += ending.size + 1;
      if (steps > MOST_STEPS) return null;
      lengths = ending;
    }
    const [x, y, size] = best;
    if (!size) continue;
    found.push(best);
    open.push([aLow, x, bLow, y], [x + size, aHigh, y + size, bHigh]);
  }
  found.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
  const joined = [];
  for (const [x, y, size] of found) {
    const last = joined.at(-1);
    if (last && last[0] + last[2] === x && last[1] + last[2] === y) last[2] += size;
    else joined.push([x, y, size]);
  }
  return joined;
}

// ---- from words to spans

function keptWords(edits, a, b) {
  const kept = [];
  let [i, j] = [0, 0];
  for (const [a0, a1, b0, b1] of [...edits, [a.length, a.length, b.length, b.length]]) {
    for (; i < a0; i++, j++) kept.push([a[i].start, a[i].end, b[j].start, b[j].end]);
    [i, j] = [a1, b1];
  }
  return kept;
}

// The changes between kept words, less the white space that both sides share at the ends.
function between([before, after], kept) {
  const found = [];
  let [lastA, lastB] = [0, 0];
  const ends = [before.length, before.length, after.length, after.length];
  for (const word of [...kept, ends]) {
    let [a0, a1, b0, b1] = [lastA, word[0], lastB, word[2]];
    [lastA, lastB] = [word[1], word[3]];
    if (before.slice(a0, a1).join("") === after.slice(b0, b1).join("")) continue;
    while (a1 > a0 && b1 > b0 && before[a1 - 1] === after[b1 - 1] && isSpace(before[a1 - 1])) [a1, b1] = [a1 - 1, b1 - 1];
    while (a0 < a1 && b0 < b1 && before[a0] === after[b0] && isSpace(before[a0])) [a0, b0] = [a0 + 1, b0 + 1];
    found.push([a0, a1, b0, b1]);
  }
  return found;
}

// Insertions and deletions go to sentence borders where several places are possible.
function slide(edits, a, b) {
  const slid = [];
  edits.forEach(([a0, a1, b0, b1], number) => {
    const next = edits[number + 1];
    const room = a0 - (slid.length ? slid.at(-1)[1] : 0) - (slid.length ? 1 : 0);
    const roomAfter = (next ? next[0] : a.length) - a1 - (next ? 1 : 0);
    let shift = 0;
    if (a0 === a1) shift = bestShift(b, b0, b1, room, roomAfter);
    else if (b0 === b1) shift = bestShift(a, a0, a1, room, roomAfter);
    slid.push([a0 + shift, a1 + shift, b0 + shift, b1 + shift]);
  });
  return slid;
}

function bestShift(list, start, end, roomBefore, roomAfter) {
  const border = (place) => Number(place === 0 || place === list.length || SENTENCE_ENDS.has([...list[place - 1].text][0]));
  const borders = (shift) => border(start + shift) + border(end + shift);
  let best = 0;
  let most = borders(0);
  let [back, forward] = [0, 0];
  while (most < 2) {
    const canBack = back < roomBefore && list[start - back - 1].text === list[end - back - 1].text;
    const canForward = forward < roomAfter && list[start + forward].text === list[end + forward].text;
    if (!canBack && !canForward) break;
    for (const [possible, shift] of [[canBack, -back - 1], [canForward, forward + 1]]) {
      if (possible && borders(shift) > most) [best, most] = [shift, borders(shift)];
    }
    back += Number(canBack);
    forward += Number(canForward);
    if (!canBack) roomBefore = back;
    if (!canForward) roomAfter = forward;
  }
  return best;
}
