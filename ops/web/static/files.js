// The files: only those in view are asked for and drawn, so 10,000 cost what ten do.

import { byId, foreign, make, number, duration } from "./dom.js";

const AROUND = 10;

export class Files {
  #count = 0;
  #asking = false;
  #again = false;

  constructor() {
    this.scroll = byId("files-scroll");
    this.body = byId("files");
    this.table = byId("files-table");
    const refresh = () => this.refresh();
    const restart = () => { this.scroll.scrollTop = 0; this.refresh(); };
    this.scroll.addEventListener("scroll", refresh, { passive: true });
    new ResizeObserver(refresh).observe(this.scroll);
    byId("files-contains").addEventListener("input", restart);
    byId("files-delivery").addEventListener("change", restart);
    byId("files-filter").addEventListener("submit", (event) => event.preventDefault());
  }

  // Ask for what is in view now; while an answer is under way, once more behind it.
  async refresh() {
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    try {
      do {
        this.#again = false;
        await this.#ask();
      } while (this.#again);
    } catch {
      // The stream says that the server is gone, and asks again when it is back.
    } finally {
      this.#asking = false;
    }
  }

  #rowHeight() {
    return 2 * parseFloat(getComputedStyle(document.documentElement).fontSize) + 1;
  }

  async #ask() {
    const height = this.#rowHeight();
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / height) - AROUND);
    const most = Math.ceil(this.scroll.clientHeight / height) + 2 * AROUND;
    const contains = byId("files-contains").value, delivery = byId("files-delivery").value;
    const query = new URLSearchParams({ first, most, ...(contains && { contains }), ...(delivery && { delivery }) });
    const answer = await fetch(`/files?${query}`);
    if (!answer.ok) return;
    const found = await answer.json();
    this.#count = found.count;
    byId("files-found").textContent = contains || delivery ? `${number(found.count)} found` : "";
    this.table.setAttribute("aria-rowcount", found.count + 1);
    const behind = found.count - found.first - found.files.length;
    this.body.replaceChildren(
      ...space(found.first * height),
      ...found.files.map((file, index) => row(file, found.first + index)),
      ...space(Math.max(0, behind) * height),
    );
  }
}

function space(height) {
  if (!height) return [];
  const cell = make("td", { colspan: 6 });
  cell.style.height = `${height}px`;
  return [make("tr", { class: "space", "aria-hidden": "true" }, cell)];
}

function row(file, index) {
  const bar = make("span", { class: "bar", "aria-hidden": "true" }, make("span"));
  bar.firstChild.style.width = `${file.percent ?? 0}%`;
  // Not rounded up: 100 % is all of it.
  const percent = file.percent === null ? "–" : `${Math.floor(file.percent)} %`;
  return make(
    "tr",
    { "aria-rowindex": index + 2 },
    make("td", { title: file.source }, foreign(file.source)),
    make("td", {}, make("span", { class: "read-of" }, make("span", {}, percent), bar)),
    make("td", { class: "number" }, number(file.rows)),
    make("td", { class: "number" }, number(file.rejected)),
    make("td", { class: "number" }, duration(file.eta_s)),
    make("td", {}, file.delivery),
  );
}
