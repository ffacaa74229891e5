"use strict";
// The report of the runs, `#/runs`: how the last one went, what needs a person, how it went before.

/** Returns what has one cause: number, message, until when, remedy, command, names. */
function causeNode(cause) {
  const names = texts(cause.names);
  const rest = amount(cause.count) - names.length;
  return el("li.cause", el("span.number", number(amount(cause.count))), el("div",
    el("h3", { dir: "auto" }, text(cause.message) || text(cause.code)),
    cause.until_at > 0 && el("p", "Until ", when(cause.until_at, DATE_TIME)),
    text(cause.remedy) && el("p.remedy", text(cause.remedy)), command(text(cause.command)),
    names.length > 0 && el("details", el("summary", "Which"), el("ul", names.map((name) => el("li", { dir: "auto" }, name)), rest > 0 && el("li.faint", `and ${number(rest)} more`)))));
}

function causeList(heading, causes, none) {
  return el("section", el("h2", heading), causes.length ? el("ul.causes", causes.map(causeNode)) : el("p.calm", none));
}

const shortDay = (at) => new Date(at * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
const shortTime = (at) => new Date(at * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

function dayFigure(heading, days, field, unit, words, limit) {
  const bars = days.map((row) => ({ label: text(row.day), short: shortDay(Date.parse(row.day) / 1000), values: [amount(row[field])] }));
  return { heading, first: "Day (UTC)", series: [unit], bars, words, limit };
}

function figuresOf(report) {
  const bars = (rows, at, names) => rows.map((row) => ({ label: when(row[at], DATE_TIME), short: at === "at" ? shortTime(row.at) : shortDay(row[at]), values: names.map((name) => amount(row[name])) }));
  const [outcomes, steps] = [["done", "failed", "waiting"], ["written", "asked", "failed"]];
  const [days, waits] = [list(report.days), list(report.waits)];
  const minutes = (value) => `${number(value)} min`;
  return [
    { heading: "Videos of each run", first: "Run", series: outcomes, bars: bars(list(report.runs), "started_at", outcomes), words: number },
    dayFigure("Spent per day", days, "usd", "spent", usd, report.usd_per_day),
    dayFigure("Minutes of video per day", days, "minutes", "minutes", minutes, report.minutes_per_day),
    { heading: "Waiting, by cause", first: "Cause", series: ["videos"], draw: drawRows, words: number, bars: waits.map((cause) => ({ label: text(cause.message), short: text(cause.message), values: [amount(cause.count)] })) },
    { heading: "The last run", first: "From", series: steps, bars: bars(list(report.timeline), "at", steps), words: number },
  ].filter((each) => each.bars.length);
}

function runTable(runs) {
  const rows = [...runs].reverse().slice(0, 400).map((run) => [
    when(run.started_at, DATE_TIME), run.ended_at ? clock(run.ended_at - run.started_at) : "–", text(run.meaning), ...["done", "failed", "waiting", "unchanged"].map((name) => number(amount(run[name]))),
    usd(amount(run.usd)), number(amount(run.minutes)), number(amount(run.doubtful)),
  ]);
  return el("details", el("summary", `All ${plural(runs.length, "run")}`), el("div.scroll", { tabindex: 0, role: "region", "aria-label": "All runs" },
    table(["Started", "Took", "Ended with", "Done", "Failed", "Waiting", "Unchanged", "Spent", "Minutes", "Possibly paid twice"], rows)));
}

function reportView() {
  const report = index.report ?? {};
  const runs = list(report.runs);
  return el("section.report", el("h1", { tabindex: "-1" }, "Runs"),
    el("p.lead", text(report.sentence) || "No run has ended yet."),
    causeList("Needs you", list(report.needs), "Nothing needs you."),
    causeList("Waiting", list(report.waits), "Nothing waits."),
    el("section", el("h2", "Figures"), el("div.figures", figuresOf(report).map(figure)), runs.length > 0 && runTable(runs)));
}
