"use strict";
// Search as you type: a plain scan over folded texts, in slices that leave the page responsive.
// An item's record holds its texts in one string, the same folded, and where each field begins. Fields stand in order
// of weight, so the first match of a word is its best one.

const SLICE = 8; // milliseconds
const WEIGHT = { title: 8, tag: 4, chapter: 3, prose: 2, caption: 1 };
const MOST_TERMS = 10;
const LONG_WORD = 4; // letters: such a word is found inside longer ones, too
const KEPT_CAPTIONS = 300;

// ---------------------------------------------------------------------------------------------------------------- folding

const MARKS = /[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u3099\u309a]/g;
const ALIKE = { ß: "ss", æ: "ae", œ: "oe", ø: "o", ł: "l", đ: "d", ð: "d", þ: "th", ı: "i", ς: "σ", "’": "'", "‘": "'" };
const ALIKES = new RegExp(`[${Object.keys(ALIKE).join("")}]`, "g");
const isAscii = (value) => !/[^\0-\x7f]/.test(value);

/** Returns a text without case, accents and other differences that a reader overlooks. */
function fold(value) {
  if (isAscii(value)) return value.toLowerCase();
  return value.normalize("NFKD").replace(MARKS, "").toLowerCase().replace(ALIKES, (letter) => ALIKE[letter]);
}

/** Returns a folded text and, for each of its characters, its place in `value`. */
function foldWithPlaces(value) {
  const places = [];
  let folded = "";
  let at = 0;
  for (const letter of value) {
    const part = fold(letter);
    for (const _ of part.split("")) places.push(at);
    folded += part;
    at += letter.length;
  }
  places.push(at);
  return { folded, places };
}

// ------------------------------------------------------------------------------------------------------------------ terms

const LETTER = /[\p{L}\p{N}\p{M}]/u;
const WORDS = /[\p{L}\p{N}\p{M}]+/gu;
/** Scripts that put no space between words. */
const UNSPACED = /[\p{sc=Hani}\p{sc=Hira}\p{sc=Kana}\p{sc=Thai}\p{sc=Laoo}\p{sc=Khmr}\p{sc=Mymr}]/u;

function isLetter(code) {
  if (code < 128) return (code > 96 && code < 123) || (code > 47 && code < 58);
  return LETTER.test(String.fromCharCode(code));
}

/** A word or a phrase to look for; after a match, its length and whether it began inside a longer word. */
class Term {
  constructor(words) {
    this.words = words;
    this.anywhere = words.length === 1 && (words[0].length >= LONG_WORD || UNSPACED.test(words[0]));
  }

  /** Returns where the term stands at or after `from`, or -1. */
  find(folded, from = 0) {
    const [word] = this.words;
    let leaps = !this.anywhere; // over matches inside of words, which short words have many of
    for (let at = folded.indexOf(word, from); at >= 0; at = folded.indexOf(word, at + 1)) {
      this.inside = at > 0 && isLetter(folded.charCodeAt(at - 1));
      if ((this.anywhere || !this.inside) && this.reach(folded, at)) return at;
      const next = leaps && this.inside ? folded.indexOf(` ${word}`, at) : at;
      leaps &&= next >= 0;
      at = Math.max(at, next);
    }
    return -1;
  }

  /** Tells whether all words stand at a place, with anything but letters between them; notes their length. */
  reach(folded, at) {
    let end = at;
    for (const word of this.words) {
      const gap = end;
      if (gap > at) while (end < folded.length && !isLetter(folded.charCodeAt(end))) end += 1;
      if ((gap > at && end === gap) || !folded.startsWith(word, end)) return false;
      end += word.length;
    }
    this.length = end - at;
    return true;
  }
}

/** Returns the terms of a query: words, and phrases in quotes. */
function parseQuery(query) {
  const parts = (query.match(/"[^"]*"?|[^\s"]+/g) ?? []).map((part) => fold(part).match(WORDS));
  return parts.filter(Boolean).slice(0, MOST_TERMS).map((words) => new Term(words));
}

// ---------------------------------------------------------------------------------------------------------------- records

const UNTIMED = -1;
const STEP = 4; // numbers of a field: weight, second, place in text, place in folded

/** Makes a record of fields: weight, second, text. */
function makeRecord(fields) {
  const some = fields.filter(([, , value]) => value);
  const joined = some.map((field) => field[2]).join("\n");
  const plain = isAscii(joined);
  const folded = plain ? [] : some.map((field) => fold(field[2]));
  const places = [];
  let [at, atFolded] = [0, 0];
  some.forEach(([weight, second, value], i) => {
    places.push(weight, second, at, atFolded);
    at += value.length + 1;
    atFolded += (plain ? value : folded[i]).length + 1;
  });
  return { text: joined, folded: plain ? fold(joined) : folded.join("\n"), places };
}

/** Returns the number of the field that holds `place` of the folded text. */
function fieldAt({ places }, place) {
  let [low, high] = [0, places.length / STEP - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (places[middle * STEP + 3] <= place) low = middle;
    else high = middle - 1;
  }
  return low * STEP;
}

const fieldText = (made, field) => made.text.slice(made.places[field + 2], (made.places[field + STEP + 2] ?? made.text.length + 1) - 1);
const fieldFolded = (made, field) => made.folded.slice(made.places[field + 3], (made.places[field + STEP + 3] ?? made.folded.length + 1) - 1);

/** Returns the weight of a term's best match in a record; 0 if it is not there. */
function weigh(term, made) {
  const at = term.find(made.folded);
  return at < 0 ? 0 : made.places[fieldAt(made, at)] * (term.inside ? 0.5 : 1);
}

/** Returns the words in any JSON value. */
function wordsIn(value, depth = 0) {
  if (typeof value !== "object") return [text(value)];
  return depth > 6 || !value ? [] : Object.values(value).flatMap((each) => wordsIn(each, depth + 1));
}

/** @param {Block} block */
function blockFields(block) {
  if (block.kind === "prose") return [[WEIGHT.prose, UNTIMED, text(block.text)]];
  if (block.kind === "tags") return [[WEIGHT.tag, UNTIMED, texts(block.words).join(" · ")]];
  if (block.kind !== "moments") return [[WEIGHT.prose, UNTIMED, wordsIn(block.value).join(" · ")]];
  const weight = block.chapters ? WEIGHT.chapter : WEIGHT.prose;
  return list(block.items).map((moment) => [weight, Math.floor(moment.start) || 0, texts([moment.title, moment.text]).join(" · ")]);
}

/** Makes the record of an item: of its row, or of all that its entry holds. */
function recordOf(item, entry) {
  const tags = [...item.tags, ...Object.values(item.facets).flat()].join(" · ");
  const blocks = list(entry?.results).flatMap((result) => list(result.blocks)).flatMap(blockFields).sort((a, b) => b[0] - a[0]);
  const labels = list(entry?.sources).map((source) => text(source.label)).join(" · ");
  const line = [WEIGHT.prose, UNTIMED, entry ? "" : item.line];
  const made = makeRecord([[WEIGHT.title, UNTIMED, item.title], [WEIGHT.tag, UNTIMED, tags], ...blocks, line, [WEIGHT.caption, UNTIMED, labels]]);
  made.captions = text(entry?.captions?.file);
  return made;
}

// ----------------------------------------------------------------------------------------------------------------- slices

const channel = new MessageChannel();
const paused = [];
channel.port1.onmessage = () => paused.shift()();

/** Lets the page do other work; unlike a timer it does not wait. */
const pause = () => new Promise((resolve) => { paused.push(resolve); channel.port2.postMessage(0); });

/** Calls `step` with each value in slices of 8 ms; stops when `step` returns false. */
async function inSlices(values, step) {
  let end = now() + SLICE;
  for (let i = 0; i < values.length; i += 1) {
    if (step(values[i]) === false) return false;
    if (i % 16 === 15 && now() > end) {
      await pause();
      end = now() + SLICE;
    }
  }
  return true;
}

/** Makes a shard's entries searchable; returns their items. */
async function addEntries(entries) {
  const fresh = [];
  await inSlices(entries, (entry) => {
    const item = byNumber.get(entry.number);
    if (!item || item.folder !== entry.folder) return;
    item.record = recordOf(item, entry);
    item.complete = true;
    fresh.push(item);
  });
  return fresh;
}

const captionRecords = new Map();

/** Returns an item's captions as a record, or null if they cannot be read. A phrase may go on in the next caption. */
function captionsRecord(item) {
  const cues = () => loadCaptions(item.record.captions).then((some) => makeRecord(some.map(([start, , words]) => [WEIGHT.caption, Math.floor(start), words])));
  return keep(captionRecords, item, cues, KEPT_CAPTIONS).catch(() => null);
}

// ------------------------------------------------------------------------------------------------------------------ query

/** One standing query and its hits: item -> score, the moment in its captions, the moment that is shown. */
class Query {
  constructor(words) {
    this.words = words;
    this.terms = parseQuery(words);
    this.hits = new Map();
    this.heard = new Set(); // items whose captions were searched
    this.stopped = false;
  }

  /** Scans items; resolves to false if the query was stopped meanwhile. */
  scan(some) {
    return inSlices(some, (item) => {
      if (this.stopped) return false;
      item.record ??= recordOf(item, null);
      const score = this.score(item.record);
      if (score) this.hits.set(item, { score, caption: this.hits.get(item)?.caption });
      else if (!this.heard.has(item)) this.hits.delete(item);
    });
  }

  /** Returns the sum of the terms' weights; 0 if one is missing. */
  score(made) {
    let sum = 0;
    for (const term of this.terms) {
      const weight = weigh(term, made);
      if (!weight) return 0;
      sum += weight;
    }
    return sum;
  }

  /** Looks in an item's captions, if they could be read, for what its record lacks; returns whether it is there. */
  hear(item, made) {
    this.heard.add(item);
    if (!made) return false;
    const weights = this.terms.map((term) => weigh(term, item.record));
    const isHit = this.hits.has(item);
    const places = this.terms.filter((_, i) => isHit || !weights[i]).map((term) => term.find(made.folded));
    if (places.some((at) => at < 0)) return false;
    const field = fieldAt(made, Math.min(...places));
    const caption = { start: made.places[field + 1], text: fieldText(made, field) };
    this.hits.set(item, { score: weights.reduce((sum, weight) => sum + (weight || WEIGHT.caption), 0), caption });
    return true;
  }

  /** Returns the best moment of a hit, or null: its second, if it has one, and its text in parts. */
  best(item) {
    const hit = this.hits.get(item);
    if (hit && hit.best === undefined) hit.best = this.choose(item.record, hit.caption);
    return hit?.best ?? null;
  }

  choose(made, caption) {
    let [best, most] = [-1, 0];
    for (let field = 0; field < made.places.length; field += STEP) {
      const [weight, second] = made.places.slice(field, field + 2);
      const folded = fieldFolded(made, field);
      const found = weight < WEIGHT.title ? this.terms.filter((term) => term.find(folded) >= 0).length : 0;
      const rank = found && found * 10 + (second >= 0 ? 5 : 0) + weight / 10;
      if (rank > most) [best, most] = [field, rank];
    }
    const start = best < 0 ? UNTIMED : made.places[best + 1];
    if (caption && start < 0) return { start: caption.start, parts: this.mark(caption.text) };
    return best < 0 ? null : { start: start < 0 ? null : start, parts: this.mark(fieldText(made, best)) };
  }

  /** Returns a text in parts, `[text, isMatch]`, cut to `room` characters around its first match. */
  mark(value, room = 150) {
    const { folded, places } = foldWithPlaces(value);
    const spans = [];
    for (const term of this.terms) {
      for (let at = term.find(folded); at >= 0; at = term.find(folded, at + term.length)) spans.push([places[at], places[at + term.length]]);
    }
    spans.sort((a, b) => a[0] - b[0]);
    const [first, firstEnd] = spans[0] ?? [0, 0];
    const from = first > room / 2 ? value.lastIndexOf(" ", first - room / 3) + 1 : 0;
    const to = Math.min(value.length, Math.max(from + room, firstEnd));
    const parts = [[from ? "… " : "", false]];
    let at = from;
    for (const [start, end] of spans) {
      if (start < at || start >= to) continue;
      parts.push([value.slice(at, start), false], [value.slice(start, end), true]);
      at = end;
    }
    parts.push([value.slice(at, Math.max(at, to)), false], [to < value.length ? " …" : "", false]);
    return parts;
  }
}
