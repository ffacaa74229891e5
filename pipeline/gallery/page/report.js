"use strict";
// The report of the runs, `#/runs`: how the last one went, what needs a person, how it went before.

/** Returns what has one cause: how many, why, and which. */
function causeNode(cause) {
  const names = texts(cause.names);
  const rest = amount(cause.count) - names.length;
  return el("li.cause", el("span.number", number(amount(cause.count))), el("div",
    reason(cause),
    names.length > 0 && el("details", el("summary", "Which"), el("ul", names.map((name) => el("li", name)), rest > 0 && el("li.faint", `and ${number(rest)} more`)))));
}

function causeList(heading, causes, none) {
  return el("section", el("h2", heading), causes.length ? el("ul.causes", causes.map(causeNode)) : el("p.faint", none));
}

const shortDay = (at) => local(at, { day: "numeric", month: "short" });

/** Returns bars of rows: a value for each name. */
const barsOf = (rows, names, label, short) => list(rows).map((row) => ({ label: label(row), short: short(row), values: names.map((name) => amount(row[name])), row }));

const RUN_COLUMNS = { Took: (run) => (run.ended_at ? clock(run.ended_at - run.started_at) : "–"), "Ended with": (run) => text(run.meaning), Unchanged: (run) => number(amount(run.unchanged)),
  Spent: (run) => usd(amount(run.usd)), Minutes: (run) => number(amount(run.minutes)), "Possibly paid twice": (run) => number(amount(run.doubtful)) };

const LIMIT_COLUMNS = { Used: (row) => number(amount(row.used)), "Room again": (row) => timeOf(row.room_at) || "Now", "Named by the platform": (row) => timeOf(row.named_at) };

function figuresOf(report) {
  const byDays = (heading, name, words, limit) => ({ heading, first: "Day (UTC)", series: [name], words, limit,
    bars: barsOf(report.days, [name], (row) => text(row.day), (row) => shortDay(Date.parse(row.day) / 1000)) });
  const outcomes = ["done", "failed", "waiting"];
  const steps = ["written", "asked", "failed"];
  const clockForm = { timeStyle: report.slice_seconds < 60 ? "medium" : "short" };
  const message = (cause) => text(cause.message);
  return [
    { heading: "Videos of each run", first: "Run", series: outcomes, words: number, columns: RUN_COLUMNS,
      bars: barsOf(report.runs, outcomes, (run) => timeOf(run.started_at), (run) => shortDay(run.started_at)) },
    byDays("Spent per day", "usd", usd, report.usd_per_day), byDays("Minutes of video per day", "minutes", number, report.minutes_per_day),
    { heading: "How full the limits are", first: "Limit", series: ["share"], limit: 100, draw: drawRows, words: (share) => `${number(share)} %`, columns: LIMIT_COLUMNS, bars: barsOf(report.limits, ["share"], message, message) },
    { heading: "Waiting, by cause", first: "Cause", series: ["count"], draw: drawRows, words: number, bars: barsOf(report.waits, ["count"], message, message) },
    { heading: "Course of the last run", first: "From", series: steps, words: number, bars: barsOf(report.timeline, steps, (slice) => timeOf(slice.at), (slice) => local(slice.at, clockForm)) },
  ].filter(({ bars }) => bars.some(({ values }) => values.some(Boolean)));
}

function reportView() {
  const report = index.report ?? {};
  const figures = figuresOf(report);
  return el("section.report", el("h1", { tabindex: "-1" }, "Runs"),
    el("p.lead", text(report.sentence) || "No run has ended yet."),
    causeList("Needs you", list(report.needs), "Nothing needs you."),
    causeList("Waiting", list(report.waits), "Nothing waits."),
    figures.length > 0 && el("section", el("h2", "Figures"), el("div.figures", figures.map(figure))));
}
