// What a model wrote while it was trained, on a slider over the steps.

import { call, number } from "../treadle.js";

export class Samples {
  constructor(root) {
    this.root = root;
    this.card = root.closest("section");
    this.slider = root.querySelector("input[type=range]");
    this.all = [];
    this.follow = true;
    this.slider.addEventListener("input", () => { this.follow = Number(this.slider.value) === this.all.length - 1; this.show(); });
  }

  /** Take the samples of some runs. */
  async read(runs) {
    const found = await Promise.all(runs.slice(0, 8).map((run) => call("runs.show", { run }).catch(() => ({ samples: [] }))));
    this.all = found.flatMap((one) => one.samples).sort((a, b) => a.step - b.step || a.time - b.time);
    this.follow = true;
    this.show();
  }

  /** Add one that was just written. */
  take(sample) {
    this.all.push(sample);
    this.show();
  }

  show() {
    this.root.hidden = this.card.hidden = !this.all.length;
    if (!this.all.length) return;
    this.slider.max = String(this.all.length - 1);
    if (this.follow) this.slider.value = this.slider.max;
    const sample = this.all[Number(this.slider.value)];
    this.slider.setAttribute("aria-valuetext", `step ${sample.step}`);
    this.root.querySelector("[data-sample-step]").textContent = number(sample.step);
    this.root.querySelector("[data-sample-text]").textContent = sample.text;
    const words = sample.real_words === undefined || sample.real_words === null ? "" : ` · ${Math.round(sample.real_words * 100)} % real words`;
    this.root.querySelector("[data-sample-facts]").textContent = `${Number(this.slider.value) + 1} of ${this.all.length} · epoch ${number(sample.epoch, 2)}${words}`;
  }
}
