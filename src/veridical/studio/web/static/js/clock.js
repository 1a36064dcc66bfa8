// Time spent on an item: from act to act, long pauses and hidden tabs left out.

const ACTS = ["keydown", "pointerdown", "pointermove", "wheel", "scroll", "input"];

export class Clock {
  constructor(idleSeconds) {
    this.idle = idleSeconds * 1000;
    for (const act of ACTS) addEventListener(act, () => this.tick(), { passive: true, capture: true });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.tick();
      else this.last = performance.now();
    });
    this.start();
  }

  start() {
    this.spent = 0;
    this.last = performance.now();
    this.shown = Date.now();
  }

  tick() {
    const now = performance.now();
    if (!document.hidden && now - this.last <= this.idle) this.spent += now - this.last;
    this.last = now;
  }

  seconds() {
    this.tick();
    return Math.round(this.spent) / 1000;
  }
}
