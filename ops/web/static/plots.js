// Rates, lags and the oldest unsafe row over time.

import { compact, duration } from "./dom.js";

const HEIGHT = 190;
const LEAST_WIDTH = 240;
const PLOTS = [
  { place: "plot-rates", value: compact, series: [["ingest", "ingest", "ingest"], ["split", "split", "split"], ["sink", "sink", "sink"]] },
  { place: "plot-lags", value: compact, series: [["split_lag", "split", "split"], ["sink_lag", "sink", "sink"]] },
  { place: "plot-unsafe", value: duration, series: [["unsafe_s", "age", "rejected"]] },
];
// The server keeps as many.
const MOST = 900;

// Seconds only where lines of the grid are closer than minutes.
function times(_, ticks, __, ___, apart) {
  const format = { hour: "2-digit", minute: "2-digit", ...(apart < 60 && { second: "2-digit" }), hour12: false };
  return ticks.map((tick) => new Date(tick * 1000).toLocaleTimeString([], format));
}

// The axis is as wide as its longest label, such as "1 min 15 s".
function widthOf(_, labels) {
  return Math.max(62, 20 + 7 * Math.max(0, ...(labels ?? []).map((label) => label.length)));
}

function options({ value, series }, width) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const axis = { stroke: colour("soft"), grid: { stroke: colour("track"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
  return {
    width,
    height: HEIGHT,
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { y: { range: (_, __, most) => [0, Math.max(1, (most ?? 0) * 1.1)] } },
    axes: [{ ...axis, space: 90, values: times }, { ...axis, size: widthOf, values: (_, ticks) => ticks.map(value) }],
    series: [
      { label: "at", value: (_, at) => (at === null ? "–" : new Date(at * 1000).toLocaleTimeString()) },
      // Lines differ by more than their colours.
      ...series.map(([, label, name], index) => ({ label, stroke: colour(name), width: 2, dash: [[], [8, 4], [2, 4]][index], points: { show: false }, value: (_, shown) => (shown === null || shown === undefined ? "–" : value(shown)) })),
    ],
  };
}

export class Plots {
  #points = [];
  #plots = [];

  constructor() {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#begin());
    new ResizeObserver(() => this.#resize()).observe(document.getElementById("main"));
  }

  // The server's points take the place of those here, except of those before its first.
  join(columns) {
    const points = columns.at_s.map((_, index) => Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[index]])));
    const first = points.length ? points[0].at_s : Infinity;
    this.#points = [...this.#points.filter((point) => point.at_s < first), ...points].slice(-MOST);
    this.#draw();
  }

  add(point) {
    // A server's clock that is set back leaves points in the future, which go.
    this.#points = [...this.#points.filter(({ at_s: at }) => at < point.at_s), point].slice(-MOST);
    this.#draw();
  }

  // Figures are missing from here on: no line is drawn across. Asked again, it does nothing.
  interrupt(at) {
    const last = this.#points.at(-1);
    if (last && Object.entries(last).some(([name, value]) => name !== "at_s" && value !== null)) this.add({ at_s: at });
  }

  #columns = ({ series }) => ["at_s", ...series.map(([field]) => field)].map((field) => this.#points.map((point) => point[field] ?? null));

  #begin() {
    for (const plot of this.#plots) plot.destroy();
    this.#plots = PLOTS.map((each) => {
      const place = document.getElementById(each.place);
      return new uPlot(options(each, Math.max(LEAST_WIDTH, place.clientWidth)), this.#columns(each), place);
    });
  }

  #draw() {
    if (!this.#plots.length) this.#begin();
    else this.#plots.forEach((plot, index) => plot.setData(this.#columns(PLOTS[index])));
  }

  #resize() {
    this.#plots.forEach((plot, index) => {
      const width = Math.max(LEAST_WIDTH, document.getElementById(PLOTS[index].place).clientWidth);
      if (width !== plot.width) plot.setSize({ width, height: HEIGHT });
    });
  }
}
