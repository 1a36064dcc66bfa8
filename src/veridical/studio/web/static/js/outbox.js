// Judgements on their way: kept in this browser until the server has them on disk.
//
// Each has a key of its own, so that sending it twice does no harm. No answer, a full disk or a
// restarting server: it stays and is sent again. Refused: it is handed back to the page.

import { ApiError, post } from "./api.js";

const WAITS = [1, 2, 4, 8, 15, 30];

export class Outbox extends EventTarget {
  constructor(person) {
    super();
    this.place = `veridical-outbox-${person}`;
    this.tries = 0;
    this.busy = false;
    addEventListener("online", () => this.flush());
    addEventListener("beforeunload", (event) => {
      if (this.items().length) event.preventDefault();
    });
  }

  items() {
    try {
      return JSON.parse(localStorage.getItem(this.place)) || [];
    } catch {
      return [];
    }
  }

  save(items) {
    localStorage.setItem(this.place, JSON.stringify(items));
    this.dispatchEvent(new Event("change"));
  }

  add(judgement) {
    this.save([...this.items(), judgement]);
    this.flush();
  }

  slots() {
    return this.items().map((one) => one.slot);
  }

  remove(key) {
    this.save(this.items().filter((one) => one.key !== key));
  }

  // Wait until everything is sent; false where it cannot be sent now.
  async drain() {
    for (let n = 0; n < 40 && this.items().length; n++) {
      if (!this.busy) await this.flush();
      if (this.items().length) await new Promise((done) => setTimeout(done, 50));
      if (this.tries > 0) break;
    }
    return this.items().length === 0;
  }

  async flush() {
    if (this.busy) return;
    this.busy = true;
    clearTimeout(this.timer);
    try {
      for (let next = this.items()[0]; next; next = this.items()[0]) {
        const saved = await post("/api/judgements", next);
        this.tries = 0;
        this.remove(next.key);
        this.dispatchEvent(new CustomEvent("saved", { detail: { judgement: next, saved } }));
      }
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.failed(error);
    } finally {
      this.busy = false;
    }
  }

  failed(error) {
    const next = this.items()[0];
    const again = error.status === 0 || error.status === 429 || error.status >= 500;
    if (again || error.status === 401 || error.status === 403) {
      const wait = WAITS[Math.min(this.tries, WAITS.length - 1)];
      this.tries += 1;
      this.timer = setTimeout(() => this.flush(), wait * 1000);
      this.dispatchEvent(new CustomEvent("waiting", { detail: { error } }));
      return;
    }
    this.remove(next.key);
    this.dispatchEvent(new CustomEvent("refused", { detail: { judgement: next, error } }));
    this.timer = setTimeout(() => this.flush(), 0);
  }
}
