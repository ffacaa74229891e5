"use strict";
// The list: filters, order, search, 60 cards at a time. Its state is the address: `#/?q=bees&tag=nature&sort=length`.

const PAGE = 60;
const MOST_OPTIONS = 300;
const SAY_EVERY = 400; // milliseconds: a screen reader must be able to follow
const REST = 250; // milliseconds after the last key, before captions are read
const RECENT = { "1d": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days" };
const LENGTHS = { "-5": "Under 5 min", "5-20": "5 to 20 min", "20-60": "20 to 60 min", "60-": "Over 1 hour" };
const SORTS = {
  day: "Newest first", "-day": "Oldest first", title: "Title, A to Z", length: "Longest first", "-length": "Shortest first", cost: "Highest cost first",
};

// ------------------------------------------------------------------------------------------------------ filters and order

let view = new URLSearchParams();
let query = null;
/** The items that pass filters and query, in order; the page shows the first `room`. */
let shown = [];
let room = PAGE;

const listHash = () => (String(view) ? `#/?${view}` : "#/");

function daysOf(item) {
  if (!item.at) return [];
  const local = day(item.at);
  return [local.slice(0, 7), local];
}

/** Returns what an item has under the name of a filter. */
function valuesOf(item, name) {
  if (name === "tag") return item.tags;
  if (name.startsWith("class.")) return item.facets[name.slice(6)] ?? [];
  return name === "day" ? daysOf(item) : [item[name]];
}

function testOf(name, value) {
  if (name === "min") return ({ seconds }) => seconds !== null && seconds >= value * 60;
  if (name === "max") return ({ seconds }) => seconds !== null && seconds < value * 60;
  if (value in RECENT) return (item) => item.at > Date.now() / 1000 - parseInt(value, 10) * 86400;
  return (item) => valuesOf(item, name).includes(value);
}

const isFilter = (name) => /^(tag|state|source|day|min|max|class\..*)$/.test(name);

/** Returns a test of all filters that are set. */
function filterTest() {
  const tests = [...view].filter(([name, value]) => isFilter(name) && value).map(([name, value]) => testOf(name, value));
  return (item) => tests.every((test) => test(item));
}

const byDay = (a, b) => b.at - a.at || b.number - a.number;
const ORDERS = {
  day: byDay,
  "-day": (a, b) => byDay(b, a),
  title: (a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : byDay(a, b)),
  length: (a, b) => (b.seconds ?? -1) - (a.seconds ?? -1) || byDay(a, b),
  "-length": (a, b) => (a.seconds ?? 1e9) - (b.seconds ?? 1e9) || byDay(a, b),
  cost: (a, b) => b.usd - a.usd || byDay(a, b),
};
const byScore = (a, b) => query.hits.get(b).score - query.hits.get(a).score || byDay(a, b);

// --------------------------------------------------------------------------------------------------------------- controls

const search = el("input", {
  type: "search", placeholder: "Search titles, chapters, captions …", autocomplete: "off", spellcheck: "false", "aria-label": "Search the library", oninput: typed,
});
const countLine = el("p.count", { role: "status", "aria-live": "polite" });
const filters = el("div.filters", { id: "filters", role: "group", "aria-label": "Filters and order" });
const toggle = el("button.toggle", {
  type: "button", "aria-expanded": "false", "aria-controls": "filters",
  onclick: () => toggle.setAttribute("aria-expanded", toggle.getAttribute("aria-expanded") === "false"),
}, "Filters");
const grid = el("ul.grid");
const more = el("button.more", { type: "button", hidden: true, onclick: () => showMore(true) });
const empty = el("div.empty", { hidden: true });
const listSection = el("section.list", { "aria-labelledby": "list-title" },
  el("h1", { id: "list-title", tabindex: "-1" }, "Library"),
  el("div.bar", { role: "search" }, search, toggle, filters), countLine, grid, empty, more);

/** Sets filters, as a step that Back undoes. An empty value clears. */
function go(changes) {
  const next = new URLSearchParams(view);
  for (const [name, value] of Object.entries(changes)) value ? next.set(name, value) : next.delete(name);
  location.hash = `#/?${next}`;
}

/** Returns a select; `known` are pairs of a value and its words. */
function picker(label, value, known, choose) {
  const options = known.map(([each, words]) => el("option", { value: each, selected: each === value }, words));
  const select = el("select", { "aria-label": label, onchange: () => choose(select.value) }, options);
  // An empty value is no attribute, so the words would be the value.
  options.forEach((option, i) => { option.value = known[i][0]; });
  select.classList.toggle("set", Boolean(value));
  return select;
}

/** Returns the values of a filter with their numbers, most frequent first. */
function tally(name) {
  const counts = new Map();
  for (const item of items) for (const value of valuesOf(item, name)) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, MOST_OPTIONS);
}

function filterPicker(name, any, words = (value) => value, known = tally(name)) {
  const value = view.get(name) ?? "";
  const options = known.map(([each, times]) => [each, `${words(each)} (${number(times)})`]);
  if (value && !known.some(([each]) => each === value)) options.push([value, words(value)]);
  return picker(any.replace("Any ", "Filter by "), value, [["", any], ...options], (chosen) => go({ [name]: chosen }));
}

function dayPicker() {
  const months = tally("day").filter(([value]) => value.length === 7).sort((a, b) => (a[0] < b[0] ? 1 : -1));
  const words = (value) => RECENT[value] ?? (value.length === 7 ? new Date(`${value}-15T12:00`).toLocaleDateString("en-GB", { month: "long", year: "numeric" }) : value);
  const select = filterPicker("day", "Any day", words, months);
  const recent = Object.keys(RECENT).filter((value) => value !== view.get("day")).map((value) => el("option", { value }, RECENT[value]));
  select.firstChild.after(...recent);
  return select;
}

function lengthPicker() {
  const [min, max] = [view.get("min") ?? "", view.get("max") ?? ""];
  const value = min || max ? `${min}-${max}` : "";
  const known = { "": "Any length", ...LENGTHS };
  if (!(value in known)) known[value] = `${min || 0} to ${max || "∞"} min`;
  return picker("Filter by length", value, Object.entries(known), (chosen) => go({ min: chosen.split("-")[0], max: chosen.split("-")[1] }));
}

function tagPicker() {
  const chosen = view.getAll("tag");
  const known = tally("tag").filter(([tag]) => !chosen.includes(tag)).map(([tag, times]) => [tag, `${tag} (${number(times)})`]);
  if (!known.length) return null;
  return picker("Filter by tag", "", [["", chosen.length ? "One more tag" : "Any tag"], ...known], (tag) => { location.hash = `#/?${new URLSearchParams([...view, ["tag", tag]])}`; });
}

function tagChip(tag) {
  const rest = [...view].filter(([name, value]) => name !== "tag" || value !== tag);
  return el("a.chip", { href: hashOf(rest), "aria-label": `Remove the tag ${tag}` }, `${tag} ×`);
}

/** Makes the filter bar anew; the focus stays where it was. */
function drawFilters() {
  const focused = document.activeElement?.closest?.(".filters select")?.getAttribute("aria-label");
  const classes = new Set([...items.flatMap((item) => Object.keys(item.facets)).map((name) => `class.${name}`), ...view.keys()].filter((name) => name.startsWith("class.")));
  const isSet = [...view.keys()].some(isFilter);
  const sorts = Object.entries(SORTS).filter(([name]) => query || name !== "day");
  const cleared = [...view].filter(([name]) => !isFilter(name));
  const controls = [
    filterPicker("state", "Any state", (state) => STATES[state] ?? state), filterPicker("source", "Any source", (source) => SOURCES[source] ?? source),
    ...[...classes].map((name) => filterPicker(name, `Any ${name.slice(6)}`)), dayPicker(), lengthPicker(), tagPicker(), ...view.getAll("tag").map(tagChip),
    isSet && el("a.chip", { href: hashOf(cleared) }, "Clear filters"),
    picker("Order", view.get("sort") ?? "", [["", query ? "Best match" : SORTS.day], ...sorts], (sort) => go({ sort })),
  ];
  filters.replaceChildren(...controls.filter(Boolean));
  toggle.classList.toggle("set", isSet);
  if (focused) [...filters.children].find((each) => each.getAttribute("aria-label") === focused)?.focus();
}

// ------------------------------------------------------------------------------------------------------------------ cards

/** The cards on the page: item -> its node and the moment that it shows. */
let cards = new Map();
let isLoading = true;
let isScanning = false;

function cardOf(item) {
  const best = query?.best(item) ?? null;
  const old = cards.get(item);
  return old?.best === best ? old : { best, node: card(item, best) };
}

/** Puts the first cards on the page, and keeps those that are there. */
function drawCards() {
  cards = new Map(shown.slice(0, room).map((item) => [item, cardOf(item)]));
  const nodes = [...cards.values()].map(({ node }) => node);
  const isLonger = [...grid.children].every((node, i) => node === nodes[i]);
  if (isLonger) grid.append(...nodes.slice(grid.children.length));
  else grid.replaceChildren(...nodes);
  const left = shown.length - room;
  more.hidden = left <= 0;
  more.textContent = `Show more (${number(left)} left)`;
  empty.hidden = shown.length > 0 || isLoading || isScanning;
  empty.replaceChildren(...(items.length ? ["Nothing matches. ", el("a", { href: "#/" }, "Show the whole library")] : ["No videos yet. They appear here after the first run."]));
}

function showMore(byHand) {
  const next = grid.children.length;
  room += PAGE;
  drawCards();
  if (byHand) grid.children[next]?.querySelector("a")?.focus({ preventScroll: true });
}

new IntersectionObserver((seen) => { if (seen.at(-1).isIntersecting && !more.hidden) showMore(); }, { rootMargin: "600px" }).observe(more);

/** Filters and orders anew, then draws. */
function refresh() {
  const passes = filterTest();
  shown = items.filter((item) => passes(item) && (!query || query.hits.has(item))).sort(ORDERS[view.get("sort")] ?? (query ? byScore : byDay));
  drawCards();
  say();
}

// ------------------------------------------------------------------------------------------------------------------ count

let saidAt = 0;
let sayTimer = 0;

function sentence() {
  const opened = list(index.open).length;
  const total = amount(index.videos) + opened;
  if (query) {
    const complete = items.filter((item) => item.complete).length;
    const captioned = items.filter((item) => item.record?.captions).length;
    return `${number(shown.length)} found · ${number(complete)} of ${number(total)} searched${captioned ? ` · captions of ${number(query.heard.size)} of ${number(captioned)}` : ""}`;
  }
  const unlisted = amount(index.open_count) - opened;
  const some = [...view.keys()].some(isFilter) ? `${number(shown.length)} of ` : "";
  return `${some}${plural(total, "video")}${unlisted > 0 ? ` · ${number(unlisted)} more are open: see Runs` : ""}`;
}

/** Says how many there are, at once, but not too often. */
function say() {
  clearTimeout(sayTimer);
  const wait = saidAt + SAY_EVERY - performance.now();
  if (wait > 0) {
    sayTimer = setTimeout(say, wait);
    return;
  }
  saidAt = performance.now();
  const words = sentence();
  if (countLine.textContent !== words) countLine.textContent = words;
}

// ----------------------------------------------------------------------------------------------------------------- search

let restTimer = 0;
let typeTimer = 0;

function typed() {
  const words = search.value.trim();
  words ? view.set("q", words) : view.delete("q");
  ask();
  clearTimeout(typeTimer);
  typeTimer = setTimeout(() => { history.replaceState(null, "", listHash()); drawFilters(); }, REST);
}

/** Starts the query of the view over everything that is there. */
async function ask() {
  const start = performance.now();
  if (query) query.stopped = true;
  clearTimeout(restTimer);
  const mine = new Query(view.get("q") ?? "");
  query = mine.terms.length ? mine : null;
  room = PAGE;
  saidAt = 0;
  isScanning = Boolean(query);
  if (query && !(await mine.scan(items))) return;
  isScanning = false;
  refresh();
  performance.measure("reelmill-query", { start, detail: mine.words });
  if (query) restTimer = setTimeout(() => hear(mine), REST);
}

/** Looks again in items of which more is known now. */
async function rescan(fresh) {
  if (!query) say();
  else if ((await query.scan(fresh)) && !isScanning) refresh();
}

/** Reads captions, one video at a time, while the query stands: first those that pass the filters. */
async function hear(mine) {
  if (mine.isHearing) return;
  mine.isHearing = true;
  let drawnAt = performance.now();
  const passes = filterTest();
  const silent = items.filter((item) => item.record?.captions && !mine.heard.has(item));
  for (const item of [...silent.filter(passes), ...silent.filter((each) => !passes(each))]) {
    const made = await captionsRecord(item);
    if (mine.stopped) return;
    if (!made) mine.heard.add(item);
    else if (mine.hear(item, made) && performance.now() - drawnAt > SAY_EVERY) {
      refresh();
      drawnAt = performance.now();
    }
    say();
  }
  mine.isHearing = false;
  refresh();
}

/** What the list does with each file that arrives. */
function rowsArrived(all) {
  isLoading = !all;
  drawFilters();
  if (query) rescan(items);
  else refresh();
}

async function shardArrived(fresh, all) {
  await rescan(fresh);
  if (!all) return;
  performance.mark("reelmill-searchable");
  if (query) hear(query);
}

/** Shows the list as an address names it. */
function showList(given) {
  const isSame = String(view) === given && cards.size;
  view = new URLSearchParams(given);
  const words = (view.get("q") ?? "").trim();
  if (search.value.trim() !== words) search.value = words;
  if (words !== (query?.words ?? "")) ask();
  else if (!isSame) {
    room = PAGE;
    refresh();
  }
  drawFilters();
}
