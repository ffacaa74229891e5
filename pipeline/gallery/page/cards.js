"use strict";
// Cards of the list, and the parts of them that other views show, too.

const STATES = { __proto__: null, done: "Done", partial: "Partly done", waiting: "Waiting", failed: "Failed", held: "Needs a decision", cancelled: "Cancelled" };
const SOURCES = { __proto__: null, file: "File", youtube: "YouTube", url: "Web" };
const MOST_TAGS = 3;

const hashOf = (pairs) => `#/?${new URLSearchParams(pairs)}`;
const videoHash = (folder, second = 0) => `#/v/${encode(folder)}` + (second >= 1 ? `?t=${Math.floor(second)}` : "");
const badge = (state) => el(`span.badge.${STATES[state] ? state : "waiting"}`, STATES[state] ?? state);

/** Returns a function that gives whole numbers; they depend on `seed` only, so a drawing always looks the same. */
function chance(seed) {
  let state = [...seed].reduce((sum, letter) => Math.imul(sum ^ letter.codePointAt(0), 16777619), 2166136261);
  return (most) => {
    state = (Math.imul(state, 1103515245) + 12345) | 0;
    return (state >>> 9) % most;
  };
}

/** Returns a drawn landscape for a video without a poster. */
function placeholder(item) {
  const pick = chance(item.folder || item.title);
  const hue = pick(360);
  const sun = svg("circle", { class: "sun", cx: 50 + pick(220), cy: 36 + pick(26), r: 15 + pick(9) });
  const hills = [0, 1, 2].map((level) => {
    const y = () => 60 + level * 30 + pick(36);
    return svg("path", { class: `hill-${level}`, d: `M0 ${y()} C90 ${y()} 150 ${y()} 200 ${y()} S290 ${y()} 320 ${y()}V180H0Z` });
  });
  const drawn = svg("svg", { class: "drawn", viewBox: "0 0 320 180", preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true" }, sun, hills);
  drawn.style.setProperty("--hue", hue);
  return drawn;
}

const posterPath = (item) => path("gallery/posters", `${item.folder}.webp`);

/** Returns a video's poster; one that is missing is drawn. */
function poster(item) {
  if (!item.poster) return placeholder(item);
  const onerror = (event) => event.target.replaceWith(placeholder(item));
  return el("img", { alt: "", loading: "lazy", onerror, src: posterPath(item) });
}

/** Returns the parts of a text, matches in `<mark>`. */
const marked = (parts) => parts.map(([part, isMatch]) => (isMatch ? el("mark", part) : part));

function momentLine(item, { start, parts }) {
  const words = el("span", marked(parts));
  if (start === null) return el("p.line", words);
  const label = `At ${spoken(start)}: ${words.textContent}`;
  return el("a.moment", { href: videoHash(item.folder, start), label }, el("span.at", clock(start)), words);
}

/** Returns links to lists. @param {[string, string, string?][]} pairs name of a filter, its value, its words */
function tagList(pairs, most = pairs.length) {
  const links = pairs.slice(0, most).map(([name, value, words = value]) => el("li", el("a.tag", { href: hashOf({ [name]: value }) }, words)));
  return links.length ? el("ul.tags", links, pairs.length > most && el("li.faint", `+${number(pairs.length - most)}`)) : null;
}

/** Returns what is wrong with a video, its remedy and command. */
function reason(why) {
  return isObject(why) && el("div.reason",
    el("p", text(why.message) || text(why.code)),
    why.until_at > 0 && el("p", "Until ", timeOf(why.until_at), "."),
    text(why.remedy) && el("p.remedy", text(why.remedy)), command(text(why.command)));
}

/** Returns date, source and cost in a line. */
const facts = (item, ...more) => el("p.facts",
  [...more, when(item.at), SOURCES[item.source] ?? item.source, item.usd > 0 && usd(item.usd)].filter(Boolean).map((fact) => el("span", fact)));

/** Returns an item's card. @param {Item} item @param {?object} best its moment in a search */
function card(item, best) {
  const title = item.folder ? el("a.whole", { href: videoHash(item.folder) }, item.title) : el("span", item.title);
  const length = item.seconds !== null && el("span.length", clock(item.seconds));
  return el("li.card", el("article",
    el("div.picture", poster(item), item.state !== "done" && badge(item.state), length),
    el("h2", title), best ? momentLine(item, best) : item.line && el("p.line", item.line),
    !item.folder && reason(item.why), facts(item), tagList(item.tags.map((tag) => ["tag", tag]), MOST_TAGS)));
}
