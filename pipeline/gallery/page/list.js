"use strict";
// The list: filters, order, search, 60 cards at a time. Its state is the address: `#/?q=bees&tag=nature&sort=length`.

const PAGE = 60;
const SCREEN = 12; // cards that are drawn at once
const MOST_OPTIONS = 300;
const SAY_EVERY = 400; // milliseconds: a screen reader must be able to follow
const REST = 250; // milliseconds after the last key, before captions are read
const RECENT = { __proto__: null, "1d": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days" };
const LENGTHS = { __proto__: null, "": "Any length", "-5": "Under 5 min", "5-20": "5 to 20 min", "20-60": "20 to 60 min", "60-": "Over 1 hour" };
const SORTS = {
  day: "Newest first", "-day": "Oldest first", title: "Title, A to Z", length: "Longest first", "-length": "Shortest first", cost: "Highest cost first",
};

// ------------------------------------------------------------------------------------------------------ filters and order

let view = new URLSearchParams();
let query = null;
/** The items that pass filters and query, in order; the page shows the first `room`. */
let shown = [];
let room = PAGE;

const viewValue = (name) => view.get(name) ?? "";
const listHash = () => (String(view) ? hashOf(view) : "#/");

/** Returns the days that an item counts to: "7d", "2026-11", "2026-11-28". */
function daysOf({ at }) {
  const age = Date.now() / 864e5 - at / 86400;
  return [...Object.keys(RECENT).filter((days) => age < parseInt(days, 10)), day(at).slice(0, 7), day(at)];
}

/** Returns what an item has under the name of a filter. */
function valuesOf(item, name) {
  if (name === "tag") return item.tags;
  if (name === "day") return daysOf(item);
  return name.startsWith("class.") ? item.facets[name.slice(6)] ?? [] : [item[name]];
}

function testOf([name, value]) {
  if (name === "min") return ({ seconds }) => seconds !== null && seconds >= value * 60;
  if (name === "max") return ({ seconds }) => seconds !== null && seconds < value * 60;
  return (item) => valuesOf(item, name).includes(value);
}

/** Returns the filters that are set: names and values. */
const filtersSet = () => [...view].filter(([name, value]) => value && /^(tag|state|source|day|min|max|class\..*)$/.test(name));

/** Returns a test of all filters. */
function filterTest() {
  const tests = filtersSet().map(testOf);
  return (item) => tests.every((test) => test(item));
}

const openLast = (a, b) => !a.folder - !b.folder;
const byDay = (a, b) => openLast(a, b) || b.at - a.at || b.number - a.number;
const byScore = (a, b) => query.hits.get(b).score - query.hits.get(a).score || byDay(a, b);
const ORDERS = {
  __proto__: null,
  day: byDay,
  "-day": (a, b) => openLast(a, b) || byDay(b, a),
  title: (a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : byDay(a, b)),
  length: (a, b) => (b.seconds ?? -1) - (a.seconds ?? -1) || byDay(a, b),
  "-length": (a, b) => (a.seconds ?? 1e9) - (b.seconds ?? 1e9) || byDay(a, b),
  cost: (a, b) => b.usd - a.usd || byDay(a, b),
};

// --------------------------------------------------------------------------------------------------------------- controls

const search = el("input", {
  type: "search", id: "q", placeholder: "Search titles, chapters, captions …", label: "Search the library", oninput: typed,
});
const countLine = el("p.count", { role: "status" });
const filters = el("div.filters", { id: "filters", role: "group", label: "Filters and order" });
const toggle = el("button.toggle", { "aria-expanded": "false", "aria-controls": "filters" }, "Filters");
toggle.onclick = () => { toggle.ariaExpanded = toggle.ariaExpanded === "false"; };
const grid = el("ul.grid");
const more = el("button.more", { onclick: () => showMore(true) });
const empty = el("p.empty");
const listSection = el("section.list", el("h1", { tabindex: "-1" }, "Library"), el("div.bar", { role: "search" }, search, toggle, filters), countLine, grid, empty, more);

/** Sets filters, as a step that Back undoes; an empty value clears one. */
function go(changes) {
  const next = new URLSearchParams(view);
  for (const [name, value] of pairsOf(changes)) value ? next.set(name, value) : next.delete(name);
  location.hash = hashOf(next);
}

/** Returns a select. @param {[string, string][]} known values and their words */
function picker(label, value, known, choose) {
  const select = el("select", { label, class: value && "set", onchange: () => choose(select.value) }, known.map(([each, words]) => {
    const option = el("option", words);
    option.value = each;
    option.selected = each === value;
    return option;
  }));
  return select;
}

let tallies = { size: 0, byName: new Map() };

/** Returns the values of a filter and how often each occurs, most frequent first. */
function tally(name) {
  if (tallies.size !== items.length) tallies = { size: items.length, byName: new Map() };
  if (!tallies.byName.has(name)) {
    const counts = new Map();
    for (const item of items) for (const value of valuesOf(item, name)) counts.set(value, (counts.get(value) ?? 0) + 1);
    tallies.byName.set(name, [...counts].sort((a, b) => b[1] - a[1]).slice(0, MOST_OPTIONS));
  }
  return tallies.byName.get(name);
}

function filterPicker(name, known = tally(name), words = (value) => value, what = name.replace("class.", "")) {
  const value = viewValue(name);
  const options = known.map(([each, times]) => [each, `${words(each)} (${number(times)})`]);
  if (value && !known.some(([each]) => each === value)) options.push([value, words(value)]);
  return picker(`Filter by ${what}`, value, [["", `Any ${what}`], ...options], (chosen) => go({ [name]: chosen }));
}

function dayPicker() {
  const words = (value) => RECENT[value] ?? (value.length === 7 ? local(Date.parse(`${value}-15`) / 1000, { month: "long", year: "numeric" }) : value);
  const key = ([value]) => (value in RECENT ? `9${99 - parseInt(value, 10)}` : value);
  const known = tally("day").filter(([value]) => value.length < 8).sort((a, b) => (key(a) < key(b) ? 1 : -1));
  return filterPicker("day", known, words);
}

function lengthPicker() {
  const [min, max] = [viewValue("min"), viewValue("max")];
  const value = min || max ? `${min}-${max}` : "";
  const known = value in LENGTHS ? LENGTHS : { ...LENGTHS, [value]: `${min || 0} to ${max || "∞"} min` };
  return picker("Filter by length", value, pairsOf(known), (chosen) => go({ min: chosen.split("-")[0], max: chosen.split("-")[1] }));
}

/** Makes the filter bar anew; the focus stays where it was. */
function drawFilters() {
  const label = focused()?.closest(".filters select")?.ariaLabel;
  const classes = new Set([...items.flatMap((item) => Object.keys(item.facets)).map((name) => `class.${name}`), ...view.keys()].filter((name) => name.startsWith("class.")));
  const set = filtersSet();
  const sorts = pairsOf(SORTS).filter(([name]) => query || name !== "day");
  filters.replaceChildren(
    filterPicker("tag"), ...[...classes].map((name) => filterPicker(name)),
    filterPicker("state", tally("state"), (state) => STATES[state] ?? state), filterPicker("source", tally("source"), (source) => SOURCES[source] ?? source),
    dayPicker(), lengthPicker(), set.length ? el("a.chip", { href: hashOf([...view].filter((pair) => !set.some(([name]) => name === pair[0]))) }, "Clear") : "",
    picker("Order", viewValue("sort"), [["", query ? "Best match" : SORTS.day], ...sorts], (sort) => go({ sort })),
  );
  toggle.classList.toggle("set", set.length > 0);
  [...filters.children].find((each) => label && each.ariaLabel === label)?.focus();
}

// ------------------------------------------------------------------------------------------------------------------ cards

/** The cards on the page: item -> its node and the moment that it shows. */
let cards = new Map();
let isLoading = true;
let scanning = false;

/** Puts the first cards on the page, and keeps those that are there. */
function drawCards() {
  const old = cards;
  cards = new Map(shown.slice(0, room).map((item) => {
    const best = query?.best(item) ?? null;
    const kept = old.get(item);
    return [item, kept?.best === best ? kept : { best, node: card(item, best) }];
  }));
  const nodes = [...cards.values()].map(({ node }) => node);
  const isLonger = [...grid.children].every((node, i) => node === nodes[i]);
  const holder = focused();
  if (isLonger) grid.append(...nodes.slice(grid.children.length));
  else grid.replaceChildren(...nodes);
  if (grid.contains(holder)) holder.focus({ preventScroll: true });
  more.hidden = shown.length <= room;
  more.textContent = `Show more (${number(shown.length - room)} left)`;
  empty.hidden = shown.length > 0 || isLoading || scanning;
  empty.replaceChildren(items.length ? `Nothing ${query && !query.done ? "yet" : "matches"}. ` : "No videos yet: they come with the first run.", items.length ? el("a", { href: "#/" }, "Show all") : "");
}

function showMore(byHand) {
  const next = grid.children.length;
  room += PAGE;
  drawCards();
  if (byHand) grid.children[next]?.querySelector("a")?.focus({ preventScroll: true });
}

const watcher = new IntersectionObserver((seen) => {
  if (!seen.at(-1).isIntersecting || more.hidden) return;
  showMore();
  watcher.unobserve(more); // it may still be in sight: look anew
  watcher.observe(more);
}, { rootMargin: "600px" });
watcher.observe(more);

/** Filters and orders anew, then draws. */
function refresh() {
  const passes = filterTest();
  shown = items.filter((item) => passes(item) && (!query || query.hits.has(item))).sort(ORDERS[viewValue("sort")] ?? (query ? byScore : byDay));
  drawCards();
  say();
}

/** Shows another list from its beginning: a screen of cards at once, the rest of the page a moment later. */
function showFirst() {
  room = SCREEN;
  refresh();
  room = PAGE;
  pause().then(drawCards);
}

// ------------------------------------------------------------------------------------------------------------------ count

let saidAt = -SAY_EVERY;
let sayTimer = 0;

function sentence() {
  const listed = list(index.open).length;
  const unlisted = amount(index.open_count) - listed;
  const total = amount(index.videos) + listed;
  const some = number(shown.length);
  if (!query) return (filtersSet().length ? `${some} of ` : "") + plural(total, "video") + (unlisted > 0 ? ` · ${number(unlisted)} more are open: see Runs` : "");
  const captioned = items.filter((item) => item.record?.captions).length;
  const searched = `${some} found · ${number(items.filter((item) => item.complete).length)} of ${number(total)} searched`;
  return searched + (captioned ? ` · captions of ${number(query.heard.size)} of ${number(captioned)}` : "");
}

/** Says how many there are: at once, but not too often. */
function say() {
  clearTimeout(sayTimer);
  const wait = saidAt + SAY_EVERY - now();
  if (wait > 0) {
    sayTimer = setTimeout(say, wait);
    return;
  }
  saidAt = now();
  const words = sentence();
  if (countLine.textContent !== words) countLine.textContent = words;
}

// ----------------------------------------------------------------------------------------------------------------- search

let restTimer = 0;

function typed() {
  const words = search.value.trim();
  words ? view.set("q", words) : view.delete("q");
  history.replaceState(null, "", listHash());
  const before = query;
  ask();
  if (!before !== !query) drawFilters(); // the order by match comes and goes
}

/** Starts the query of the view over everything that is there. */
async function ask() {
  const start = now();
  if (query) query.stopped = true;
  clearTimeout(restTimer);
  const mine = new Query(viewValue("q"));
  query = mine.terms.length ? mine : null;
  saidAt = -SAY_EVERY;
  scanning = !!query;
  if (query && !(await mine.scan(items))) return;
  scanning = false;
  showFirst();
  performance.measure("reelmill-query", { start });
  if (query) restTimer = setTimeout(() => hear(mine), REST);
}

/** Reads captions, one video at a time, while the query stands: first those that pass the filters. */
async function hear(mine) {
  if (mine.hearing) return;
  mine.hearing = true;
  let drawnAt = now();
  const passes = filterTest();
  const silent = items.filter((item) => item.record?.captions && !mine.heard.has(item)).sort((a, b) => passes(b) - passes(a));
  for (const [i, item] of silent.entries()) {
    silent.slice(i, i + LOADS_AT_ONCE).forEach(captionsRecord);
    const made = await captionsRecord(item);
    if (mine.stopped) return;
    const isHit = mine.hear(item, made);
    if (isHit && now() - drawnAt > SAY_EVERY) {
      refresh();
      drawnAt = now();
    }
    say();
  }
  mine.hearing = false;
  mine.done = items.every((item) => item.complete);
  refresh();
}

/** What the list does when rows have arrived, or all of them. */
function rowsArrived(isAll) {
  isLoading = !isAll;
  drawFilters();
  if (query) shardArrived(items);
  else refresh();
}

/** What the list does when more is known of some items, or of all. */
async function shardArrived(fresh, isAll) {
  if (query && (await query.scan(fresh)) && !scanning) refresh();
  if (!isAll) return;
  performance.mark("reelmill-searchable");
  if (query) hear(query);
}

/** Shows the list as an address names it. Returns whether it is the one that was there. */
function showList(given) {
  const isSame = String(view) === String(given) && cards.size > 0;
  view = given;
  const words = viewValue("q").trim();
  if (search.value.trim() !== words) search.value = words;
  if (words !== (query?.words ?? "")) ask();
  else if (!isSame) showFirst();
  drawFilters();
  return isSame;
}
