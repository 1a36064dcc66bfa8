// The picture: wheel, drag, pinch, double click, keys. Zoom and place survive the next item.

const MOST = 16;

export class Viewer {
  constructor(box, thumbs) {
    this.box = box;
    this.thumbs = thumbs;
    this.image = document.createElement("img");
    this.image.alt = "The picture that the question is about";
    this.image.draggable = false;
    box.append(this.image);
    this.zoom = 1;
    this.x = 0.5; // centre of what is seen, as a share of the picture
    this.y = 0.5;
    this.pointers = new Map();
    box.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    box.addEventListener("dblclick", (event) => this.about(event, this.zoom > 1.01 ? 1 : 3));
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
      box.addEventListener(name, (event) => this.pointer(event));
    }
    box.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(box);
  }

  show(images) {
    this.images = images;
    this.thumbs.replaceChildren();
    if (images.length > 1) {
      images.forEach((_, number) => {
        const button = document.createElement("button");
        button.className = "quiet";
        button.textContent = `Picture ${number + 1}`;
        button.addEventListener("click", () => this.pick(number));
        this.thumbs.append(button);
      });
    }
    this.box.classList.toggle("empty", images.length === 0);
    this.pick(0);
  }

  pick(number) {
    const one = this.images[number];
    this.number = number;
    [...this.thumbs.children].forEach((button, n) => button.setAttribute("aria-pressed", String(n === number)));
    this.image.hidden = !one;
    if (!one) return;
    this.width = one.width;
    this.height = one.height;
    this.image.src = one.url;
    this.draw();
  }

  step(by) {
    if (this.images?.length > 1) this.pick((this.number + by + this.images.length) % this.images.length);
  }

  fit() {
    return Math.min(this.box.clientWidth / this.width, this.box.clientHeight / this.height) || 1;
  }

  draw() {
    if (!this.width) return;
    const scale = this.fit() * this.zoom;
    const half = (size, room) => Math.min(0.5, room / (2 * size * scale));
    this.x = Math.min(Math.max(this.x, half(this.width, this.box.clientWidth)), 1 - half(this.width, this.box.clientWidth));
    this.y = Math.min(Math.max(this.y, half(this.height, this.box.clientHeight)), 1 - half(this.height, this.box.clientHeight));
    const left = this.box.clientWidth / 2 - this.x * this.width * scale;
    const top = this.box.clientHeight / 2 - this.y * this.height * scale;
    const style = this.image.style;
    style.width = `${this.width}px`;
    style.height = `${this.height}px`;
    style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
    this.image.classList.toggle("pixels", scale >= 3);
    this.box.classList.toggle("zoomed", this.zoom > 1.01);
  }

  set(zoom) {
    this.zoom = Math.min(Math.max(zoom, 1), MOST);
    if (this.zoom === 1) this.x = this.y = 0.5;
    this.draw();
  }

  // Zoom so that the place under the pointer stays there.
  about(event, zoom) {
    const frame = this.box.getBoundingClientRect();
    const dx = event.clientX - frame.left - frame.width / 2;
    const dy = event.clientY - frame.top - frame.height / 2;
    const before = this.fit() * this.zoom;
    const after = this.fit() * Math.min(Math.max(zoom, 1), MOST);
    this.x += (dx / this.width) * (1 / before - 1 / after);
    this.y += (dy / this.height) * (1 / before - 1 / after);
    this.set(zoom);
  }

  wheel(event) {
    if (!this.width) return;
    event.preventDefault();
    this.about(event, this.zoom * Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)));
  }

  move(dx, dy) {
    const scale = this.fit() * this.zoom;
    this.x -= dx / (this.width * scale);
    this.y -= dy / (this.height * scale);
    this.draw();
  }

  pointer(event) {
    if (event.type === "pointerdown") {
      this.box.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, event);
      return;
    }
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    if (event.type !== "pointermove") {
      this.pointers.delete(event.pointerId);
      return;
    }
    const other = [...this.pointers.values()].find((one) => one.pointerId !== event.pointerId);
    if (other) {
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      this.about(event, (this.zoom * apart(event)) / Math.max(1, apart(before)));
    } else {
      this.move(event.clientX - before.clientX, event.clientY - before.clientY);
    }
    this.pointers.set(event.pointerId, event);
  }

  key(event) {
    const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.move(...step);
  }
}
