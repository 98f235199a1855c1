// Elements and figures. What comes from data becomes text and nothing else: no function here makes HTML of a string.

export const byId = (id) => document.getElementById(id);

// An element with attributes and children; strings and numbers become text.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.map(asChild));
  return element;
}

const asChild = (child) => (child instanceof Node ? child : String(child));

// What others wrote, so that its direction of writing does not reach beyond it.
export const foreign = (text, attributes = {}) => make("bdi", attributes, text);

// Fill an element with what `content` makes of the fields, but only where they have changed: a selection stays.
const filled = new WeakMap();
export function fill(element, fields, content) {
  const now = JSON.stringify(fields);
  if (filled.get(element) === now) return;
  filled.set(element, now);
  element.replaceChildren(...content(fields));
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const UNKNOWN = "–";

export const number = (value) => (value === null ? UNKNOWN : whole.format(value));
export const compact = (value) => (value === null ? UNKNOWN : short.format(value));
export const count = (value, word) => `${number(value)} ${word}${value === 1 ? "" : "s"}`;

export function bytes(value) {
  if (value === null) return UNKNOWN;
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit ? value.toFixed(1) : value} ${units[unit]}`;
}

export function duration(seconds) {
  if (seconds === null) return UNKNOWN;
  if (seconds < 1) return seconds ? `${Math.max(1, Math.round(seconds * 1000))} ms` : "0 s";
  if (seconds < 60) return `${seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86400)} days`;
}

// What waits for a stage: rows, or bytes for ingest; `~` where it is an estimate.
export const waiting = (stage) =>
  stage.lag_rows === null ? bytes(stage.lag_bytes) : `${stage.lag_is_exact ? "" : "~"}${count(stage.lag_rows, "row")}`;

export const clock = (ms) => new Date(ms).toLocaleTimeString();
export const moment = (ms) => new Date(ms).toLocaleString();
