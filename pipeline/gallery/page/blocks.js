"use strict";
// A job's answer as elements, by kind of block.

const DEEPEST = 5;
const MOST_ROWS = 200;

const paragraphs = (words) => text(words).split(/\n+/).filter((line) => line.trim()).map((line) => el("p", line));

/** Returns a list of moments. @param {Moment[]} moments @param control makes what leads to a second */
function momentList(moments, control) {
  return el("ol.moments", moments.map((moment) => {
    const start = amount(moment.start);
    const name = el("span.name", text(moment.title) || text(moment.text));
    return el("li", { "data-start": start, "data-end": moment.end }, control(start, el("span.at", clock(start)), name), text(moment.title) && paragraphs(moment.text));
  }));
}

const isPlain = (value) => Object(value) !== value;
const plainWords = (value) => (value === true ? "Yes" : value === false ? "No" : String(value ?? "–"));
const left = (values) => values.length > MOST_ROWS && el("p.faint", `and ${number(values.length - MOST_ROWS)} more, in the files`);

/** Returns any JSON value as words, a list or a table. */
function valueNode(value, depth = 0) {
  if (isPlain(value)) return el("div", paragraphs(plainWords(value)));
  if (depth > DEEPEST) return el("code", JSON.stringify(value).slice(0, 2000));
  if (Array.isArray(value)) return arrayNode(value, depth + 1);
  const rows = pairsOf(value);
  const lines = rows.slice(0, MOST_ROWS).map(([name, each]) => el("tr", el("th", { scope: "row" }, capital(name)), el("td", valueNode(each, depth + 1))));
  return el("div.table", el("table", el("tbody", lines)), left(rows));
}

function arrayNode(values, depth) {
  const some = values.slice(0, MOST_ROWS);
  const columns = [...new Set(some.flatMap((each) => (isObject(each) ? Object.keys(each) : [])))];
  const isTable = columns.length && columns.length < 7 && some.every((each) => isObject(each) && Object.values(each).every(isPlain));
  if (!isTable) return el("div", el("ul", some.map((each) => el("li", valueNode(each, depth)))), left(values));
  return el("div.table", table(columns.map(capital), some.map((each) => columns.map((name) => plainWords(Object.hasOwn(each, name) ? each[name] : null)))), left(values));
}

/** Returns a table of words. */
function table(head, rows) {
  return el("table", el("thead", el("tr", head.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", rows.map((row) => el("tr", row.map((cell) => el("td", cell))))));
}

/** Returns one block; an unknown kind is shown as a value. @param {Block} block */
function blockNode(block, control) {
  if (block.kind === "prose") return el("div.prose", paragraphs(block.text));
  if (block.kind === "moments") return momentList(list(block.items), control);
  if (block.kind === "tags") return tagList(texts(block.words).map((word) => (block.facet ? [`class.${text(block.facet)}`, word] : ["q", `"${word}"`, word])));
  return valueNode(block.kind === "value" ? block.value : block);
}
