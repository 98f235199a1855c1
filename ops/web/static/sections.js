// Everything on the page that is text: totals, stages, categories, replicas, rejected rows, receipts, balance.

import { byId, bytes, count, duration, fill, foreign, make, moment, number, waiting } from "./dom.js";

const cell = (text) => make("td", {}, text);
const figure = (text) => make("td", { class: "number" }, text);
const none = (columns, text) => make("tr", {}, make("td", { colspan: columns, class: "soft" }, text));
const EVERY = "(every split)";
const NOT_AT_HAND = "Sink's folder is not at hand here: see --output-dir.";
const notKnown = ({ ledgers_trouble: trouble }) => (trouble ? `Not known: ${trouble}.` : NOT_AT_HAND);

export function showTexts(view) {
  byId("where").textContent = view.where;
  fill(byId("reasons"), view.stages.map(({ name, verdict, reason }) => [name, verdict, reason]).concat([["", "", view.note]]), reasons);
  fill(byId("totals"), totalsOf(view), (totals) => totals.map(total));
  fill(byId("stages"), view.stages, (stages) => stages.map(stageRow));
  byId("files-summary").textContent = summaryOf(view.sources);
  fill(byId("categories"), view.categories, categories);
  byId("categories-summary").textContent = categoriesSummary(view);
  fill(byId("replicas"), view.stages, replicas);
  fill(byId("balance"), view.balance, (splits) => splits.map(balanceRow));
  byId("balance-summary").textContent = balanceSummary(view);
  fill(byId("rejected-counts"), [view.rejected, view.has_older_rows], rejectedCounts);
  fill(byId("receipts"), view.receipts, receipts);
  byId("receipts-summary").textContent = view.receipt_count > view.receipts.length ? `The latest ${number(view.receipts.length)} of ${number(view.receipt_count)}.` : "";
}

// "" while figures are old: the verdict is not known then.
export function showVerdict(verdict) {
  const shown = verdict || "not known";
  if (byId("verdict").textContent === shown) return;
  byId("verdict").textContent = shown;
  byId("verdict").className = `verdict ${verdict}`;
  document.title = `${shown} – Nacre`;
}

export function showRejected(rows) {
  byId("rejected-caption").textContent = rows.length ? `The latest ${number(rows.length)}, the newest first. nacre rejected lists, shows and replays them.` : "";
  fill(byId("rejected"), rows, (found) => (found.length ? found.map(rejectedRow) : [none(4, "No row is rejected.")]));
}

function* reasons(found) {
  for (const [name, verdict, reason] of found) {
    if (!reason) continue;
    yield verdict ? make("li", {}, make("strong", { class: `verdict ${verdict}` }, `${name}: `), foreign(reason)) : make("li", {}, "More may come: ", foreign(reason));
  }
}

function totalsOf(view) {
  return [
    ["Sent", number(view.sent_rows), "rows committed to Kafka"],
    ["Safe", number(view.safe_rows), view.safe_rows === null ? view.ledgers_trouble || "sink's folder is not at hand" : "on disk, once for each split"],
    ["Oldest unsafe row", duration(view.oldest_unsafe_s), "since it was read"],
    ["Rejected", number(view.rejected_rows), "by ingest, and by splits"],
    ["Delivered", `${number(view.sources.delivered + view.sources.rejected_whole)} of ${number(view.sources.count)}`, "sources"],
    ["Categories", number(view.categories.count), "with rows on disk"],
  ];
}

const total = ([name, value, what]) => make("div", {}, make("dt", {}, name), make("dd", {}, value, make("small", {}, what)));

function stageRow(stage) {
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, stage.name),
    make("td", {}, make("span", { class: `verdict ${stage.verdict}` }, stage.verdict)),
    figure(number(stage.rows)),
    figure(number(stage.rows_per_s)),
    figure(waiting(stage)),
    figure(duration(stage.eta_s)),
    figure(number(stage.replica_count)),
  );
}

function summaryOf(sources) {
  const parts = [["under way", "under_way"], ["delivered", "delivered"], ["rejected whole", "rejected_whole"], ["unknown", "unknown"]];
  const shown = parts.filter(([, name]) => sources[name]).map(([text, name]) => `${number(sources[name])} ${text}`);
  return [`${count(sources.count, "source")}`, ...shown].join(" · ");
}

function* categories({ largest }) {
  // Bars are compared within a split: each split has every row.
  const most = new Map();
  for (const { split, rows } of largest) most.set(split, Math.max(rows, most.get(split) ?? 0));
  for (const split of most.keys()) {
    yield make("li", {}, make("h3", {}, foreign(split)), make("ol", {}, ...largest.filter((each) => each.split === split).map((each) => categoryBar(each, most.get(split)))));
  }
}

function categoryBar({ category, rows, files }, most) {
  const bar = make("span", { class: "bar", "aria-hidden": "true" }, make("span"));
  bar.firstChild.style.width = `${most ? (100 * rows) / most : 0}%`;
  const shown = files > 1 ? `${number(rows)} in ${number(files)} files` : number(rows);
  return make("li", {}, make("span", { class: "line" }, category ? foreign(category, { title: category }) : make("span", { class: "soft" }, "(all rows)"), make("span", { class: "number" }, shown)), bar);
}

function categoriesSummary(view) {
  const { count: all, largest } = view.categories;
  if (all === null) return notKnown(view);
  return largest.length < all ? `The largest ${number(largest.length)} of ${number(all)}.` : `${number(all)} in all.`;
}

function* replicas(stages) {
  for (const { name, replicas: found, replica_count: all } of stages) {
    if (!all) yield none(4, `${name}: no replica`);
    for (const { client, has } of found) {
      const partitions = has.map(({ topic, numbers }) => `${topic} ${numbers}`).join(", ");
      yield make("tr", {}, cell(name), make("td", {}, foreign(client)), cell(partitions || "nothing to do"), figure(has.some(({ rows }) => rows !== null) ? number(has.reduce((sum, { rows }) => sum + (rows ?? 0), 0)) : "–"));
    }
    if (all > found.length) yield none(4, `${name}: and ${number(all - found.length)} more`);
  }
}

function balanceRow(split) {
  return make("tr", {}, make("th", { scope: "row" }, foreign(split.split)), figure(number(split.rows)), figure(number(split.replayed)), figure(number(split.in_files)), figure(number(split.rejected)), figure(number(split.rejected_and_replayed)), figure(split.lost ? `${number(split.lost)} lost` : number(split.missing)));
}

function balanceSummary(view) {
  const { balance, has_older_rows: older } = view;
  if (!balance.length) return view.safe_rows === null ? notKnown(view) : older ? "Not known: some rows were written in format 1." : "There is none yet.";
  const open = balance.filter(({ missing, lost }) => missing && !lost).length;
  const gone = balance.filter(({ lost }) => lost);
  const more = balance.filter(({ surplus }) => surplus);
  const found = more.map(({ split, surplus }) => `${split} has ${count(surplus, "row")} more than was read.`);
  found.push(...gone.map(({ split, lost }) => `${split} lacks ${count(lost, "row")}, and nothing is under way: ask nacre verify.`));
  if (open) found.push(`Open in ${count(open, "split")}: rows are under way.`);
  return found.length ? found.join(" ") : "It closes: every row is in a file, or rejected.";
}

function rejectedCounts([found, older]) {
  const chips = found.map(({ split, code, rows }) => make("li", {}, `${number(rows)} × ${code || "(no code)"}, `, split ? foreign(split) : EVERY));
  return older ? [...chips, make("li", {}, "without rows of format 1, whose codes no ledger knows")] : chips;
}

function rejectedRow({ source, line, split, code, reason, row, size }) {
  const place = line === null ? [foreign(source)] : [foreign(source), `:${line}`];
  return make(
    "tr",
    {},
    make("td", {}, ...place),
    make("td", {}, split ? foreign(split) : EVERY),
    make("td", {}, code ? make("code", {}, code) : "", " ", foreign(reason)),
    make("td", {}, foreign(row, { class: "bytes" }), size === null ? "" : make("span", { class: "soft" }, ` … ${bytes(size)} in all`)),
  );
}

function receipts(found) {
  if (!found.length) return [none(6, "No source is delivered yet.")];
  const latency = (ms) => duration(ms === null ? null : ms / 1000);
  return found.map((each) => make("tr", {}, make("td", {}, foreign(each.source)), figure(number(each.rows)), figure(number(each.rejected)), cell(moment(each.safe_ms)), figure(latency(each.p50_ms)), figure(latency(each.p99_ms))));
}
