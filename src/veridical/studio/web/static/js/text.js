// Texts: code points on the wire, UTF-16 units in the browser; words; building nodes without markup.

export const length = (text) => [...text].length;
export const toPoints = (text, unit) => length(text.slice(0, unit));
export const toUnits = (text, point) => [...text].slice(0, point).join("").length;
export const cut = (text, start, end) => [...text].slice(start, end).join("");

const WORD = /[\p{L}\p{N}\p{M}_]+(?:['’-][\p{L}\p{N}\p{M}_]+)*|\p{RI}\p{RI}|\p{Extended_Pictographic}(?:\uFE0F|\p{EMod}|\u200D\p{Extended_Pictographic})*|[^\s]/gu;

// Words and signs with their places in code points.
export function words(text) {
  const found = [];
  let point = 0;
  let unit = 0;
  for (const match of text.matchAll(WORD)) {
    point += length(text.slice(unit, match.index));
    unit = match.index;
    const start = point;
    point += length(match[0]);
    unit += match[0].length;
    found.push({ text: match[0], start, end: point });
  }
  return found;
}

export function node(name, text, classes) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (classes) made.className = classes;
  return made;
}

// The text with some of its spans wrapped; spans in order, without overlap.
export function wrapped(text, spans) {
  const points = [...text];
  const parts = [];
  let last = 0;
  for (const span of spans) {
    parts.push(points.slice(last, span.start).join(""), span.make(points.slice(span.start, span.end).join("")));
    last = span.end;
  }
  parts.push(points.slice(last).join(""));
  return parts.filter((part) => part !== "");
}
