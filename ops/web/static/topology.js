// The picture: topics and services, with rows that move as fast as they do.

import { bytes, compact, count, number } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
// Services, topics and folders; their centres in the wide picture and in the narrow one.
const NODES = {
  data: { kind: "folder", name: "files", wide: [65, 70], narrow: [105, 45] },
  ingest: { kind: "service", name: "ingest", wide: [220, 70], narrow: [105, 135] },
  rows: { kind: "topic", name: "rows", wide: [375, 70], narrow: [105, 225] },
  split: { kind: "service", name: "split", wide: [530, 70], narrow: [105, 315] },
  categorized: { kind: "topic", name: "categorized", wide: [690, 70], narrow: [105, 405] },
  rejected: { kind: "topic", name: "rejected", wide: [530, 190], narrow: [270, 315] },
  sink: { kind: "service", name: "sink", wide: [850, 70], narrow: [105, 495] },
  out: { kind: "folder", name: "categories", wide: [1005, 70], narrow: [105, 585] },
};
const SIZE = { wide: [1080, 240], narrow: [340, 630] };
const HALF = [62, 30];
// From, to, whose rate moves it, and the path of those that are not straight.
const EDGES = [
  ["data", "ingest", "ingest"],
  ["ingest", "rows", "ingest"],
  ["rows", "split", "split"],
  ["split", "categorized", "split"],
  ["categorized", "sink", "sink"],
  ["sink", "out", "sink"],
  ["ingest", "rejected", "rejected", { wide: "M220 100 C220 190 330 190 468 190", narrow: "M167 135 C240 135 270 200 270 285" }],
  ["split", "rejected", "rejected", { wide: "M530 100 L530 160", narrow: "M167 315 L208 315" }],
  ["rejected", "sink", "rejected", { wide: "M592 190 C750 190 850 190 850 100", narrow: "M270 345 C270 430 240 495 167 495" }],
];

function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function straight(from, to, layout) {
  const [x1, y1] = from[layout], [x2, y2] = to[layout];
  return layout === "wide" ? `M${x1 + HALF[0]} ${y1} L${x2 - HALF[0]} ${y2}` : `M${x1} ${y1 + HALF[1]} L${x2} ${y2 - HALF[1]}`;
}

function shape({ kind }, [x, y]) {
  const [w, h] = HALF, l = x - w, r = x + w, t = y - h, b = y + h;
  if (kind === "service") return draw("rect", { class: "shape", x: l, y: t, width: 2 * w, height: 2 * h, rx: 10 });
  if (kind === "folder") return draw("path", { class: "shape", d: `M${l} ${t + 8} v-8 h38 l8 8 H${r} V${b} H${l} Z` });
  // A topic lies on its side, as a pipe.
  return draw("path", { class: "shape", d: `M${l + 8} ${t} H${r - 8} A8 ${h} 0 0 1 ${r - 8} ${b} H${l + 8} A8 ${h} 0 0 1 ${l + 8} ${t} A8 ${h} 0 0 1 ${l + 8} ${b}` });
}

// From rows a second to one of four paces; 0 is none.
export function paceOf(rate) {
  if (!rate) return 0;
  return rate < 100 ? 1 : rate < 10_000 ? 2 : rate < 100_000 ? 3 : 4;
}

export class Picture {
  #parts = new Map();
  #flows = [];
  #rejected = null;

  constructor(place) {
    this.place = place;
    this.narrow = matchMedia("(max-width: 55rem)");
    this.narrow.addEventListener("change", () => this.#begin());
    this.#begin();
  }

  #begin() {
    const layout = this.narrow.matches ? "narrow" : "wide";
    const [width, height] = SIZE[layout];
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Rows go from files through ingest, rows, split, categorized and sink to one file per category; rejected rows go from ingest and split to sink. The table of stages has the figures." });
    this.#flows = EDGES.map(([from, to, by, paths]) => {
      const d = paths ? paths[layout] : straight(NODES[from], NODES[to], layout);
      const flow = draw("path", { class: by === "rejected" ? "flow to-rejected" : `flow by-${by}`, d });
      svg.append(draw("path", { class: "edge", d }), flow);
      return [by, flow];
    });
    for (const [id, node] of Object.entries(NODES)) {
      const [x, y] = node[layout];
      // Beside the rim of a topic.
      const middle = node.kind === "topic" ? x + 6 : x;
      const figure = draw("text", { class: "figure", x: middle, y: y + 16 });
      svg.append(draw("g", { class: `${node.kind} ${id}` }, shape(node, [x, y]), draw("text", { class: "name", x: middle, y: y - 3 }, node.name), figure));
      this.#parts.set(id, figure);
    }
    this.place.replaceChildren(svg);
    if (this.view) this.show(this.view);
  }

  // Show the figures of a view.
  show(view) {
    this.view = view;
    const stages = Object.fromEntries(view.stages.map((stage) => [stage.name, stage]));
    const rejected = view.rejected_rows;
    const texts = {
      data: stages.ingest.lag_bytes ? `${bytes(stages.ingest.lag_bytes)} left` : count(view.sources.count, "source"),
      rows: `${stages.split.lag_is_exact ? "" : "~"}${number(stages.split.lag_rows)} wait`,
      categorized: `${stages.sink.lag_is_exact ? "" : "~"}${number(stages.sink.lag_rows)} wait`,
      rejected: count(rejected, "row"),
      out: view.categories.count === null ? "not at hand" : `${number(view.categories.count)} of them`,
    };
    for (const name of ["ingest", "split", "sink"]) {
      const { verdict, rows_per_s: rate } = stages[name];
      const isStill = verdict === "stalled" || verdict === "stopped";
      texts[name] = isStill ? verdict : `${compact(rate)} rows/s`;
      this.#parts.get(name).parentNode.classList.toggle("still", isStill);
    }
    for (const [id, text] of Object.entries(texts)) this.#parts.get(id).textContent = text;
    const grows = this.#rejected !== null && rejected > this.#rejected;
    this.#rejected = rejected;
    for (const [by, flow] of this.#flows) {
      const pace = by === "rejected" ? Number(grows) : paceOf(stages[by].rows_per_s);
      if (pace) flow.dataset.pace = pace;
      else delete flow.dataset.pace;
    }
  }
}
