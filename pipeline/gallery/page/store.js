"use strict";
// The data files: scripts beside the page, since a page from disk may read nothing else.
// Their types are those of pipeline/gallery/values.py; a field that is empty there is left out here.
/**
 * @typedef {{start: number, end: number, title: string, text?: string}} Moment
 * @typedef {{kind: string, text?: string, items?: Moment[], chapters?: boolean, words?: string[], facet?: string, value?: any}} Block
 * @typedef {{name: string, job: string, blocks?: Block[], prompt?: string, notes?: string[], current: boolean}} Result
 * @typedef {{number: number, folder: string, results?: Result[], sources?: object[], media?: string, captions?: {file: string}}} Entry
 * What the list shows: the row of a video, or an open item, which has no folder.
 * @typedef {{number: number, folder: string, title: string, seconds: ?number, state: string, at: number, usd: number, source: string,
 *   line: string, tags: string[], facets: Object<string, string[]>, poster: boolean, why: ?object, key: string, complete: boolean, record: ?object}} Item
 */

const FORMAT = 1;
const LOADS_AT_ONCE = 3;
const KEPT_SHARDS = 3;

const delivered = new Map();
globalThis.reelmill = (kind, name, json) => delivered.set(`${kind}/${name}`, json);

/** Loads a data file and returns its value; throws "missing" or "damaged". */
function load(kind, file) {
  const name = text(file).replace(/\.js$/, "");
  if (!/^[\w-]+$/.test(name)) return Promise.reject(new Error("damaged"));
  return new Promise((resolve, reject) => {
    const done = (event) => {
      event.target.remove();
      const json = delivered.get(`${kind}/${name}`);
      delivered.delete(`${kind}/${name}`);
      try {
        resolve(JSON.parse(json));
      } catch {
        reject(new Error(event.type === "error" ? "missing" : "damaged"));
      }
    };
    document.head.append(el("script", { src: `gallery/data/${name}.js`, onload: done, onerror: done }));
  });
}

/** @type {Item[]} */
const items = [];
const byNumber = new Map();
const byFolder = new Map();
let index = null;
const rowsLoaded = Promise.withResolvers();

function addItem(row) {
  if (!isObject(row) || byFolder.has(row.folder)) return;
  const title = text(row.title) || text(row.folder) || "Untitled";
  const item = {
    number: Number.isInteger(row.number) ? row.number : -1, folder: text(row.folder), title, key: fold(title),
    seconds: Number.isFinite(row.seconds) ? row.seconds : null, state: text(row.state), at: amount(row.at), usd: amount(row.usd),
    source: text(row.source), line: text(row.line), tags: texts(row.tags), facets: { __proto__: null }, poster: row.poster,
    why: row.why, complete: !row.folder, record: null,
  };
  for (const [name, words] of pairsOf(row.facets)) item.facets[name] = texts(words);
  items.push(item);
  if (!item.folder) return;
  byFolder.set(item.folder, item);
  byNumber.set(item.number, item);
}

/** Reads index.js; throws "missing", "damaged" or "format". */
async function openIndex() {
  index = await load("index", "index");
  if (index?.format !== FORMAT) throw new Error("format");
  [...list(index.rows), ...list(index.open)].forEach(addItem);
}

/** The last shards, parsed: a video's view needs one again. */
const shards = new Map();

/** Returns what a map has, made where it lacks, and forgets the oldest beyond `most`. */
function keep(map, key, make, most) {
  const value = map.get(key) ?? make();
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value);
  return value;
}

const loadShard = (file) => keep(shards, file, async () => {
  const entries = list(await load("shard", file)).filter((entry) => text(entry.folder));
  if (!entries.length) throw new Error("damaged");
  return entries;
}, KEPT_SHARDS);

/** @param {Item} item @returns {Promise<Entry>} */
async function entryOf(item) {
  const part = list(index.shards).find(({ first, last }) => first <= item.number && item.number <= last);
  const entry = part && (await loadShard(part.file)).find((each) => each.folder === item.folder);
  if (!entry) throw new Error("missing");
  return entry;
}

/** Loads files, newest first; tells `onBroken` of those that cannot be read. */
async function loadEach(parts, take, onBroken) {
  const queue = list(parts).reverse();
  const work = async () => {
    for (let part = queue.shift(); part; part = queue.shift()) await take(part).catch((error) => onBroken(part, error.message));
  };
  await Promise.all(Array.from({ length: LOADS_AT_ONCE }, work));
}

/** Loads everything else for list and search: rows first. `on` hears of each step. */
async function loadAll(on) {
  await loadEach(index.rows_files, async (part) => {
    list(await load("rows", part.file)).forEach(addItem);
    on.rows();
  }, on.broken);
  rowsLoaded.resolve();
  on.rows(true);
  await loadEach(index.shards, async (part) => on.shard(await addEntries(await loadShard(part.file))), on.broken);
  on.shard([], true);
}

/** Returns the item of a folder once its row is there; undefined if there is none. */
async function itemOf(folder) {
  if (!byFolder.has(folder)) await rowsLoaded.promise;
  return byFolder.get(folder);
}

/** Returns a video's captions: start, end, words. @returns {Promise<[number, number, string][]>} */
async function loadCaptions(file) {
  return list((await load("captions", file))?.cues).filter(([start, , words]) => Number.isFinite(start) && text(words));
}
