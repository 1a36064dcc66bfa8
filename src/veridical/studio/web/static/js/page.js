// The work page: shows one item after the other, whatever the task; the task's own module does the rest.

import { newKey, post, send } from "./api.js";
import { Clock } from "./clock.js";
import { Drafts } from "./drafts.js";
import { ending, trainingStep } from "./endings.js";
import { bind, inText, keyDialog, labelKeys } from "./keys.js";
import { Outbox } from "./outbox.js";
import { node } from "./text.js";
import { Viewer } from "./viewer.js";

const byId = (id) => document.getElementById(id);
const data = document.body.dataset;
const { makeTask } = await import(`./tasks/${data.task}.js`);

const clock = new Clock(Number(data.idle));
const outbox = new Outbox(data.person);
const drafts = new Drafts(data.person);
const viewer = new Viewer(byId("viewer"), byId("pictures"));
const sent = new Map(); // judgements on their way, with their items
let item = null;
let ahead = null; // the next item, fetched already
let leaving = false;
let done = Number(data.done);

const page = {
  get item() {
    return item;
  },
  changed() {
    byId("fault").textContent = "";
    if (item) drafts.keep(item, { ...task.body(), note: byId("note").value });
  },
  fault(text) {
    byId("fault").textContent = text;
  },
};
const task = makeTask(page);

// ---- items

async function fetchNext(prefer) {
  const holding = [...outbox.slots(), ...[item, ahead].filter(Boolean).map((one) => one.slot)];
  return post("/api/next", { holding, ...(prefer ? { prefer } : {}) });
}

async function next(prefer) {
  item = null;
  let answer = ahead ? { item: ahead } : null;
  ahead = null;
  try {
    const sending = outbox.items().length > 0;
    answer ??= await fetchNext(prefer);
    // What was still on its way may be what the server waits for.
    if (!answer.item && sending && (await outbox.drain())) answer = await fetchNext();
  } catch (error) {
    return nothing("No connection", `${error.message} What you did is kept on this device and sent later.`);
  }
  if ("training" in answer) trained(answer.training);
  if (answer.item) show(answer.item);
  else nothing(...ending(answer, done));
}

function trained(training) {
  const box = byId("training");
  box.hidden = !training || training.over;
  if (training) box.textContent = trainingStep(training);
}

function show(fresh) {
  item = fresh;
  byId("nothing").hidden = true;
  byId("welcome").hidden = done > 0;
  byId("returned").hidden = !item.returned;
  byId("returned").lastElementChild.textContent = item.returned || "";
  byId("work").hidden = false;
  byId("question").textContent = item.question;
  const turns = byId("turns");
  turns.hidden = !item.history.length && !item.system;
  const system = item.system ? [node("p", item.system, "system")] : [];
  const earlier = item.history.flatMap(([asked, said]) => [node("p", asked, "asked"), node("p", said, "said")]);
  turns.replaceChildren(...system, ...earlier);
  for (const one of turns.children) one.dir = "auto";
  byId("reference").hidden = !item.reference;
  byId("reference").lastElementChild.textContent = item.reference || "";
  viewer.show(item.images);
  const draft = drafts.find(item);
  byId("note").value = draft?.note || "";
  byId("note").closest("details").open = Boolean(draft?.note);
  byId("fault").textContent = "";
  task.show(item, draft);
  byId("panel").scrollTop = 0;
  if (innerWidth < 820) scrollTo(0, 0);
  byId("panel").focus({ preventScroll: true });
  clock.start();
  lookAhead();
}

function nothing(title, text, mood = "") {
  byId("work").hidden = true;
  const box = byId("nothing");
  box.hidden = false;
  box.dataset.mood = mood;
  box.querySelector("h1").textContent = title;
  box.querySelector("p").textContent = text;
  byId("again").focus();
}

async function lookAhead() {
  const shown = item;
  try {
    const answer = await fetchNext();
    if ("training" in answer && item === shown && !answer.training) trained(null);
    if (answer.item && item === shown && !ahead && answer.item.slot !== shown.slot) {
      ahead = answer.item;
      for (const one of ahead.images) new Image().src = one.url;
    }
  } catch {
    // it is fetched when it is needed
  }
}

// ---- judging

function busy(now) {
  leaving = now;
  byId("work").ariaBusy = String(now);
}

async function finish(outcome, reason = "") {
  if (!item || leaving) return;
  busy(true);
  try {
    const judged = outcome === "judged";
    const problem = judged ? await task.problem() : null;
    if (problem) {
      page.fault(problem);
      return;
    }
    const note = byId("note").value;
    const payload = judged ? { ...task.body(), task: data.task, note } : {};
    const judgement = {
      key: newKey(), slot: item.slot, lease: item.lease, outcome, payload, reason,
      note: judged ? "" : note, shown: clock.shown, seconds: clock.seconds(), guideline: Number(data.guideline),
    };
    sent.set(judgement.key, item);
    drafts.drop(item);
    outbox.add(judgement);
    if (outcome !== "skipped") count(1);
    await next();
  } finally {
    busy(false);
  }
}

function count(by) {
  done += by;
  byId("done").textContent = done;
}

async function undo() {
  if (leaving) return;
  busy(true);
  try {
    if (!(await outbox.drain())) throw new Error("No connection: taking back waits until it returns.");
    const answer = await post("/api/undo", { key: newKey() });
    if (!answer.item) return say("There is nothing to take back.");
    if (item && answer.item.slot !== item.slot) ahead = item;
    if (answer.item.draft || done) count(-1);
    show(answer.item);
    say("Taken back. Change it and submit again.");
  } catch (error) {
    say(error.message);
  } finally {
    busy(false);
  }
}

// ---- what is said

const state = byId("state");
function say(text) {
  const box = byId("notice");
  box.textContent = text;
  box.hidden = !text;
  clearTimeout(box.timer);
  box.timer = setTimeout(() => (box.hidden = true), 8000);
}

outbox.addEventListener("change", () => {
  const waiting = outbox.items().length;
  state.textContent = waiting ? `Saving ${waiting}…` : state.textContent;
});
outbox.addEventListener("saved", ({ detail }) => {
  sent.delete(detail.judgement.key);
  state.className = "state";
  state.textContent = outbox.items().length ? "Saving…" : `Saved ${new Date().toLocaleTimeString()}`;
  if (detail.saved.feedback) tell(detail.saved.feedback);
});
outbox.addEventListener("waiting", ({ detail }) => {
  const waiting = outbox.items().length;
  state.className = "state trouble";
  state.textContent = detail.error.status ? `${waiting} not saved` : `Offline, ${waiting} to send`;
  if (detail.error.status === 401) {
    say(`${detail.error.message} `);
    const link = node("a", "Sign in");
    link.href = "/login";
    link.target = "_blank";
    byId("notice").append(link);
    clearTimeout(byId("notice").timer);
  } else if (detail.error.status) say(detail.error.message);
});
outbox.addEventListener("refused", ({ detail }) => {
  const { judgement, error } = detail;
  const was = sent.get(judgement.key);
  sent.delete(judgement.key);
  if (judgement.outcome !== "skipped") count(-1);
  say(`Not accepted: ${error.message}`);
  if (was && error.status === 422) {
    if (item && item.slot !== was.slot) ahead = item;
    show({ ...was, draft: judgement.payload });
    page.fault(error.message);
  }
});

function tell(feedback) {
  byId("feedback-title").textContent = feedback.right
    ? "The last item: that is right" : "The last item: the known answer is another one";
  byId("feedback-note").textContent = feedback.note;
  byId("feedback-dialog").showModal();
}

// ---- controls

const skipDialog = byId("skip-dialog");
const press = (id) => () => byId(id).click();
function toggleGuidelines() {
  const box = byId("guidelines");
  box.hidden = !box.hidden;
  byId("work").classList.toggle("with-guidelines", !box.hidden);
  byId("guidelines-toggle").setAttribute("aria-expanded", String(!box.hidden));
  localStorage.setItem("veridical-guidelines", box.hidden ? "closed" : "open");
}

byId("submit").addEventListener("click", () => finish("judged"));
byId("cannot-tell").addEventListener("click", () => finish("cannot_tell"));
byId("nothing-wrong")?.addEventListener("click", async () => {
  if (await task.nothingWrong()) finish("judged");
});
byId("undo").addEventListener("click", undo);
byId("again").addEventListener("click", () => next());
byId("skip").addEventListener("click", () => {
  skipDialog.returnValue = "";
  skipDialog.showModal();
});
skipDialog.addEventListener("close", () => skipDialog.returnValue && finish("skipped", skipDialog.returnValue));
skipDialog.addEventListener("keydown", (event) => {
  if (/^[1-5]$/.test(event.key)) skipDialog.querySelectorAll(".reasons button")[event.key - 1].click();
});
byId("note").addEventListener("input", () => page.changed());
byId("guidelines-toggle").addEventListener("click", toggleGuidelines);
keyDialog(byId("keys-dialog"), (keys) => send("PUT", "/api/keys", { keys }).catch((error) => say(error.message)));
byId("welcome-close").addEventListener("click", () => {
  byId("welcome").hidden = true;
  byId("panel").focus({ preventScroll: true });
});
byId("zoom-in").addEventListener("click", () => viewer.set(viewer.zoom * 1.5));
byId("zoom-out").addEventListener("click", () => viewer.set(viewer.zoom / 1.5));
byId("zoom-fit").addEventListener("click", () => viewer.set(1));

if (byId("nothing-wrong")) bind("n", press("nothing-wrong"), "nothing wrong");
bind(["Enter", "Ctrl+Enter"], () => (byId("work").hidden ? byId("again").click() : finish("judged")),
  "submit and go on (in a text field: Ctrl+Enter)");
bind("x", press("cannot-tell"), "can’t tell");
bind("s", press("skip"), "skip with a reason");
bind("u", press("undo"), "take back the last judgement");
if (byId("find")) bind("/", press("find"), "find a word by its first letters; then Enter, or 1–6 for its kind");
bind(["+", "="], press("zoom-in"), "zoom the picture in");
bind(["-", "−"], press("zoom-out"), "zoom it out");
bind("f", press("zoom-fit"), "fit it");
bind("v", () => byId("viewer").focus(), "go to the picture; arrow keys move it");
bind("[", () => viewer.step(-1), "previous picture");
bind("]", () => viewer.step(1), "next picture");
bind("g", press("guidelines-toggle"), "guidelines");
bind("?", press("keys-toggle"), "this list");
bind("Escape", (event) => {
  if (!inText(event.target) && event.target.id !== "viewer") return false;
  byId("panel").focus({ preventScroll: true });
  task.left?.();
  return true;
}, "leave a text field or the picture");
labelKeys();

if (localStorage.getItem("veridical-guidelines") === "open"
    || (!localStorage.getItem("veridical-guidelines") && !done && innerWidth > 1100)) toggleGuidelines();
outbox.flush();
next(Number(location.hash.slice(1)) || undefined);
history.replaceState(null, "", location.pathname);
