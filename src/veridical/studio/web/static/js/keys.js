// Keys: single ones act outside of text fields only, can be switched off, and each may be another one.
//
// Everything is bound under the key that it has at first; who chose other keys (kept with the
// person) presses those, and every <kbd> shows them.

const PLACE = "veridical-single-keys";
const FIXED = new Set(["Enter", "Ctrl+Enter", "Escape"]);
const bindings = new Map(); // first key -> { act, label }
let own = new Map(Object.entries(JSON.parse(document.body.dataset.keys || "{}"))); // first key -> chosen

const singleKeys = {
  get on() {
    return localStorage.getItem(PLACE) !== "off";
  },
  set on(value) {
    localStorage.setItem(PLACE, value ? "on" : "off");
  },
};

// label: what the list of keys says; without one the key is not listed.
export function bind(keys, act, label) {
  [keys].flat().forEach((key, number) => bindings.set(key, { act, label: number ? undefined : label }));
}

export function inText(target) {
  return target.matches?.("textarea, input:not([type=radio]):not([type=checkbox])");
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
  const control = event.ctrlKey || event.metaKey;
  if (event.key === "Enter" && control) return run("Ctrl+Enter", event);
  if (event.key === "Escape") return run("Escape", event);
  if (inText(event.target)) return;
  if (control || event.altKey || !singleKeys.on) return;
  const acts = event.target.closest?.("button, a, summary, [contenteditable]");
  if ((event.key === "Enter" || event.key === " ") && acts) return;
  run(firstKey(named(event)), event);
});

function named(event) {
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

// The key under which something is bound that is done by `pressed` now.
function firstKey(pressed) {
  if (FIXED.has(pressed)) return pressed;
  for (const [first, chosen] of own) if (chosen === pressed) return first;
  return own.has(pressed) ? "" : pressed;
}

function run(key, event) {
  const found = bindings.get(key);
  if (!found) return;
  if (found.act(event) !== false) event.preventDefault();
}

// ---- what keys are called

const shown = (key) => (key.length === 1 ? key.toUpperCase().replace("-", "−") : key);
const now = (first) => own.get(first) ?? first;

export function keycap(first) {
  const made = document.createElement("kbd");
  made.dataset.key = first;
  made.textContent = shown(now(first));
  return made;
}

export function labelKeys(root = document) {
  for (const one of root.querySelectorAll("kbd")) {
    const text = one.textContent.replace("−", "-");
    if (text.length === 1) one.dataset.key ??= text.toLowerCase();
    if (one.dataset.key) one.textContent = shown(now(one.dataset.key));
  }
}

// ---- choosing other ones

// Fill a list with all keys; each may be changed by pressing its button and then another key.
function keyList(list, keep) {
  const rows = [...bindings].filter(([, found]) => found.label);
  list.replaceChildren(...rows.flatMap(([first, { label }]) => {
    const term = document.createElement("dt");
    const said = document.createElement("dd");
    said.textContent = label;
    const cap = keycap(first);
    if (FIXED.has(first)) term.append(cap);
    else {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "cap";
      button.setAttribute("aria-label", `Key to ${label}: ${cap.textContent}. Change it`);
      button.append(cap);
      button.addEventListener("click", () => {
        cap.textContent = "…";
        button.addEventListener("keydown", (event) => choose(event, first, list, keep), { once: true });
        button.addEventListener("blur", () => labelKeys(list), { once: true });
      });
      term.append(button);
    }
    return [term, said];
  }));
}

async function choose(event, first, list, keep) {
  const pressed = named(event);
  event.preventDefault();
  event.stopPropagation();
  if (!FIXED.has(pressed) && pressed !== "Tab" && pressed !== " " && !/^(Shift|Control|Alt|Meta)$/.test(pressed)) {
    const other = firstKey(pressed);
    const mine = now(first);
    const next = new Map(own).set(first, pressed);
    if (bindings.has(other) && other !== first) next.set(other, mine); // the two change places
    own = new Map([...next].filter(([one, chosen]) => one !== chosen));
    keep(Object.fromEntries(own));
  }
  labelKeys();
  keyList(list, keep);
  list.querySelector(`kbd[data-key="${CSS.escape(first)}"]`)?.parentElement.focus();
}

// The dialog with all keys: keep(keys) stores those that somebody chose.
export function keyDialog(dialog, keep) {
  const list = dialog.querySelector(".keys");
  const single = dialog.querySelector("#single-keys");
  document.getElementById("keys-toggle").addEventListener("click", () => {
    keyList(list, keep);
    dialog.showModal();
  });
  dialog.querySelector("#keys-reset").addEventListener("click", () => {
    own = new Map();
    keep({});
    labelKeys();
    keyList(list, keep);
  });
  single.checked = singleKeys.on;
  single.addEventListener("change", () => (singleKeys.on = single.checked));
}
