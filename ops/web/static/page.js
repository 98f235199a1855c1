// The page: it listens to the server's events, marks figures that are old, and connects again by itself.

import { byId, clock, duration } from "./dom.js";
import { Files } from "./files.js";
import { Plots } from "./plots.js";
import { showRejected, showTexts, showVerdict } from "./sections.js";
import { Picture } from "./topology.js";

// The server says something every 5 s.
const SILENT_MS = 12_000;
// Figures are old after so long, or three times as long as it takes from one look to the next.
const OLD_MS = 20_000;
const AGAIN_MS = 2_000;

const picture = new Picture(byId("picture"));
const plots = new Plots();
const files = new Files();
const state = { stream: null, heardAt: 0, clockOffMs: 0, intervalMs: 0, gapMs: 0, shownAtMs: 0, verdict: "", trouble: "", isConnected: false, isRefused: false };

function connect() {
  state.stream?.close();
  const stream = new EventSource("/events");
  state.stream = stream;
  state.heardAt = performance.now();
  const on = (kind, act) => stream.addEventListener(kind, (event) => {
    state.heardAt = performance.now();
    state.isConnected = true;
    state.isRefused = false;
    act(JSON.parse(event.data));
    mark();
  });
  on("history", (columns) => plots.join(columns));
  on("view", show);
  on("rejected", ({ rows }) => showRejected(rows));
  on("trouble", ({ text, at_ms: at }) => {
    state.trouble = text;
    plots.interrupt(at / 1000);
  });
  // Ages are by the server's clock.
  on("clock", ({ now_ms: now, interval_s: interval }) => {
    state.clockOffMs = now - Date.now();
    state.intervalMs = interval * 1000;
  });
  stream.addEventListener("error", () => {
    state.isConnected = false;
    mark();
    // The browser connects again by itself, unless it was refused.
    if (stream.readyState !== EventSource.CLOSED || stream !== state.stream) return;
    fetch("/files?most=0").then(({ status }) => { state.isRefused = status === 401; }, () => {});
    setTimeout(() => stream === state.stream && !document.hidden && connect(), AGAIN_MS);
  });
}

function show(view) {
  state.trouble = "";
  state.gapMs = state.shownAtMs ? view.at_ms - state.shownAtMs : 0;
  state.shownAtMs = view.at_ms;
  state.verdict = view.verdict;
  byId("main").hidden = false;
  showTexts(view);
  picture.show(view);
  plots.add(view.point);
  files.refresh();
}

// Say how the figures stand.
function mark() {
  const age = Math.max(0, Date.now() + state.clockOffMs - state.shownAtMs);
  const since = state.shownAtMs ? ` These figures are of ${clock(state.shownAtMs)}, ${duration(Math.round(age / 1000))} old.` : "";
  let why = "";
  if (state.isRefused) why = "The server was started again with another token: open its new link.";
  else if (!state.isConnected) why = "The server does not answer; connecting again.";
  else if (state.trouble) why = `${state.trouble[0].toUpperCase()}${state.trouble.slice(1)}.`;
  else if (state.shownAtMs && age > Math.max(OLD_MS, 3 * state.intervalMs, 3 * state.gapMs)) why = "No new figures have come.";
  document.body.classList.toggle("old", Boolean(why));
  if (state.shownAtMs) showVerdict(why ? "" : state.verdict);
  const news = byId("news");
  // Each second would be too much for a person who listens: only a change of cause is announced.
  news.setAttribute("aria-live", why === news.dataset.why ? "off" : "polite");
  news.dataset.why = why;
  const text = why ? why + since : state.shownAtMs ? `Live: ${clock(state.shownAtMs)}` : "Connected; waiting for the first look.";
  if (news.textContent !== text) news.textContent = text;
}

setInterval(() => {
  if (document.hidden) return;
  if (state.isConnected && performance.now() - state.heardAt > SILENT_MS) {
    state.isConnected = false;
    connect();
  }
  mark();
}, 1000);

// A page that nobody sees costs nothing.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) connect();
  else state.stream?.close();
});

connect();
