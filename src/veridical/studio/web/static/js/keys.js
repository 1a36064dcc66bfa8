// Keys: single ones act outside of text fields only, and can be switched off.

const PLACE = "veridical-single-keys";
const bindings = new Map();

export const singleKeys = {
  get on() {
    return localStorage.getItem(PLACE) !== "off";
  },
  set on(value) {
    localStorage.setItem(PLACE, value ? "on" : "off");
  },
};

export function bind(keys, act) {
  for (const key of [keys].flat()) bindings.set(key, act);
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
  run(event.key.length === 1 ? event.key.toLowerCase() : event.key, event);
});

function run(key, event) {
  const act = bindings.get(key);
  if (!act) return;
  if (act(event) !== false) event.preventDefault();
}
