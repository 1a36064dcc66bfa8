// Texts: code points on the wire, UTF-16 units in the browser; words; building nodes without markup.

export const length = (text) => [...text].length;
export const toPoints = (text, unit) => length(text.slice(0, unit));
export const toUnits = (text, point) => [...text].slice(0, point).join("").length;
export const cut = (text, start, end) => [...text].slice(start, end).join("");

// ---- words, as the server finds them: a combining mark stays with its letter, an emoji with its
// colour and joiners, a flag with both of its letters; ideographs and kana stand alone.

const JOINER = 0x200d;
const SPACE = /^[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/;
const between = (code, low, high) => low <= code && code <= high;
const kinds = new Map();

export function isSpace(sign) {
  return SPACE.test(sign);
}

function kindOf(sign) {
  let kind = kinds.get(sign);
  if (!kind) kinds.set(sign, (kind = findKind(sign, sign.codePointAt(0))));
  return kind;
}

function findKind(sign, code) {
  if (isSpace(sign)) return "space";
  if (code < 128) return /\w/.test(sign) ? "letter" : "sign";
  if (/\p{M}/u.test(sign) || code === JOINER || between(code, 0x1f3fb, 0x1f3ff) || between(code, 0xe0020, 0xe007f)) return "extend";
  if (between(code, 0x1f1e6, 0x1f1ff)) return "flag";
  const alone = between(code, 0x3040, 0x30ff) || between(code, 0x3400, 0x9fff) || code >= 0x20000;
  if (alone && /\p{Lo}/u.test(sign)) return "sign";
  return /[\p{L}\p{N}]/u.test(sign) ? "letter" : "sign";
}

// Words and signs with their places in code points.
export function words(text) {
  const signs = [...text];
  const bounds = [];
  let start = 0;
  let previous = "space";
  signs.forEach((sign, place) => {
    let kind = kindOf(sign);
    let grows;
    if (kind === "extend") {
      grows = previous !== "space";
      if (grows) kind = sign.codePointAt(0) === JOINER ? "glue" : previous;
      else kind = "sign";
    } else {
      grows = previous === "glue" || (kind === previous && (kind === "letter" || kind === "flag"));
      if (grows && kind === "flag") kind = "sign"; // two letters make a flag; a third begins the next
    }
    if (!grows) {
      if (previous !== "space") bounds.push([start, place]);
      start = place;
    } else if (previous === "glue" && kind === "space") bounds.push([start, place]);
    previous = kind;
  });
  if (previous !== "space") bounds.push([start, signs.length]);
  return bounds.map(([a, b]) => ({ text: signs.slice(a, b).join(""), start: a, end: b }));
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
