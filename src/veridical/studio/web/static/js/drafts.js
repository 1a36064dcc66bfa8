// What is not submitted yet: kept on this device at once, on the server a moment later.

import { send } from "./api.js";

const LATER = 1500; // ms

export class Drafts {
  constructor(person) {
    this.person = person;
  }

  place(item) {
    return `veridical-draft-${this.person}-${item.slot}`;
  }

  // What stands on this device, else what the server kept; null where there is neither.
  find(item) {
    try {
      return JSON.parse(localStorage.getItem(this.place(item))) || item.draft;
    } catch {
      return item.draft;
    }
  }

  keep(item, payload) {
    localStorage.setItem(this.place(item), JSON.stringify(payload));
    clearTimeout(this.timer);
    const { slot, lease } = item;
    this.timer = setTimeout(() => {
      send("PUT", "/api/drafts", { slot, lease, payload }).catch(() => {}); // it is on this device
    }, LATER);
  }

  drop(item) {
    clearTimeout(this.timer);
    localStorage.removeItem(this.place(item));
  }
}
