// The lead's pages: forms and buttons that send JSON.

import { post } from "./api.js";

const message = document.getElementById("message");
for (const time of document.querySelectorAll("time[data-ms]")) {
  time.textContent = new Date(Number(time.dataset.ms)).toLocaleString();
}

async function act(path, body, after = () => location.reload()) {
  message.textContent = "";
  try {
    after(await post(path, body));
  } catch (error) {
    message.textContent = error.message;
  }
}

function showLink({ link }) {
  const box = document.getElementById("link");
  const address = new URL(link, location.href).href;
  box.hidden = false;
  box.querySelector("code").textContent = address;
  box.querySelector("button").onclick = () => navigator.clipboard.writeText(address);
}

function value(input) {
  if (input.type === "checkbox") return input.checked;
  return input.type === "number" ? Number(input.value) : input.value;
}
const values = (form) =>
  Object.fromEntries([...form.elements].filter((one) => one.name).map((one) => [one.name, value(one)]));

document.addEventListener("submit", (event) => {
  const form = event.target;
  event.preventDefault();
  if (form.dataset.post) act(form.dataset.post, values(form), showLink);
  else if ("guidelines" in form.dataset) act("/api/lead/guidelines", values(form));
  else if ("settings" in form.dataset) {
    const { paused, ...settings } = values(form);
    act("/api/lead/settings", { settings, paused });
  }
});

document.addEventListener("click", (event) => {
  const data = event.target.closest("button")?.dataset;
  if (!data) return;
  if (data.link) act("/api/lead/links", { person: Number(data.link) }, showLink);
  else if (data.active) act("/api/lead/people", { person: Number(data.active), active: data.value === "true" });
  else if (data.revoke) act("/api/lead/revoke", { token: Number(data.revoke) });
  else if (data.trained) act("/api/lead/trained", { person: Number(data.trained), trained: true });
  else if (data.return) {
    const note = document.getElementById("note");
    if (note.value.trim()) act("/api/lead/return", { judgement: data.return, note: note.value });
    else {
      message.textContent = "Write into your note what they should look at again.";
      note.focus();
    }
  } else if (data.settle) {
    const note = document.getElementById("note").value;
    act("/api/lead/settle", { item: Number(data.settle), judgement: data.judgement || null, note });
  }
});

// ---- how much work and money a plan takes

const plan = document.querySelector("form[data-plan]");
function reckon() {
  const { items, overlap, share, seconds, wage } = values(plan);
  const judgements = Math.round(items * (1 + Math.max(0, overlap - 1) * share));
  const hours = (judgements * seconds) / 3600;
  const shared = Math.round(items * (overlap > 1 ? share : 0));
  const said = (value, digits) => value.toLocaleString("en", { maximumFractionDigits: digits });
  const margin = shared ? `; an α of 0.8 is then known to about ±${said(Math.min(1, 1 / Math.sqrt(shared)), 2)}` : "; agreement stays unknown";
  plan.querySelector("output").textContent =
    `${said(judgements, 0)} judgements, ${said(hours, 1)} hours, ${said(hours * wage, 0)} ${plan.dataset.plan}. ${said(shared, 0)} items are judged more than once${margin}.`;
}
if (plan) {
  plan.addEventListener("input", reckon);
  reckon();
}

if (document.querySelector("[data-counting]")) setTimeout(() => location.reload(), 2000);
