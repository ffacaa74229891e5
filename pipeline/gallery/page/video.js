"use strict";
// One video: player, chapters, captions, answers, and where they came from. Its address: `#/v/<folder>?t=83`.

/** Returns the id of a YouTube address, or "". */
function youtubeId(address) {
  if (!URL.canParse(address)) return "";
  const { hostname, pathname, searchParams } = new URL(address);
  const [, first, second] = pathname.split("/");
  const id = hostname === "youtu.be" ? first : /^(www\.|m\.)?youtube\.com$/.test(hostname) ? searchParams.get("v") ?? second : "";
  return /^[\w-]{11}$/.test(id) ? id : "";
}

/** Returns the address of the page that a video came from, or "". */
const pageOf = (entry) => list(entry.sources).map(({ url }) => text(url)).find((url) => url.startsWith("https://")) ?? "";

function atSecond(page, second) {
  if (!youtubeId(page) || second < 1) return page;
  const address = new URL(page);
  address.searchParams.set("t", `${Math.floor(second)}s`);
  return address.href;
}

// ------------------------------------------------------------------------------------------------------------------ stage
// A stage shows the video: `node`, `go(second)`, and `plays`: whether it plays within this page.

/** A file that the browser plays; the poster and a sentence if it cannot. */
function fileStage(item, entry, start, onTime) {
  const onTimes = () => onTime(player.currentTime);
  const onerror = () => {
    const still = stillStage(item, entry, start);
    stage.node.replaceWith(still.node);
    still.node.after(el("p.faint", { role: "status" }, "The file does not play here: it was moved or deleted, or this browser does not know its form. ", outside(entry.media, "Open the file")));
    Object.assign(stage, still, { player: null });
  };
  const player = el("video", {
    controls: true, preload: "metadata", playsinline: true, label: item.title, poster: item.poster && posterPath(item), src: entry.media,
    onerror, ontimeupdate: onTimes, onseeking: onTimes, onloadedmetadata: () => { if (start) player.currentTime = start; },
  });
  const go = (second) => {
    player.currentTime = second;
    player.play().catch(() => {}); // the browser may want a click
  };
  const stage = { node: el("div.stage", player), player, plays: true, go };
  return stage;
}

/** The poster. A page that is served has YouTube's player behind it, which wants a referrer; else it links to the source. */
function stillStage(item, entry, start) {
  const page = pageOf(entry);
  const id = youtubeId(page);
  const plays = !!id && location.protocol !== "file:";
  const node = el("div.stage", poster(item));
  const link = outside(page);
  const show = (second) => {
    start = second;
    link.href = atSecond(page, second);
    link.textContent = id ? "Watch on YouTube" + (second >= 1 ? ` at ${clock(second)}` : "") : "Open at its source";
  };
  const play = (second) => {
    const src = `https://www.youtube-nocookie.com/embed/${id}?autoplay=1&rel=0&start=${Math.floor(second)}`;
    node.replaceChildren(el("iframe", { title: item.title, allow: "autoplay; fullscreen", src }));
  };
  if (page) {
    show(start);
    node.append(el("p.watch", plays ? el("button", { onclick: () => play(start) }, "▶ Play from YouTube") : link));
  }
  return { node, plays, go: plays ? play : page ? show : () => {} };
}

// --------------------------------------------------------------------------------------------------- chapters and captions

/** Returns a button for each chapter, as wide as it is long. */
function chapterBar(chapters, go) {
  return oneStop(el("div.chapter-bar", { role: "group", label: "Chapters" }, chapters.map(({ start, end, title }) => {
    const label = `${text(title)}, at ${spoken(start)}`;
    const button = el("button", { title: label, label, "data-start": start, "data-end": end, onclick: () => go(start) }, el("span", text(title)));
    button.style.flexGrow = Math.max(1, amount(end) - start);
    return button;
  })));
}

/** Marks what is on at a second among the nodes with `data-start`. Returns it, if it was not marked before. */
function markCurrent(box, second) {
  const nodes = [...box.querySelectorAll("[data-start]")];
  const now = nodes.findLast(({ dataset: { start, end } }) => start <= second + 0.05 && !(second >= end));
  const old = box.querySelector("[aria-current]");
  if (old === (now ?? null)) return null;
  if (old) old.ariaCurrent = null;
  if (now) now.ariaCurrent = "true";
  return now;
}

/** Returns the captions as buttons that lead to their second; the words of the standing query are marked. */
function captionBox(cues, go) {
  const shown = (words) => (query ? marked(query.mark(words, Infinity)) : words);
  return oneStop(el("div.cues", { role: "group", label: "Captions" }, cues.map(([start, end, words]) => el("button",
    { "data-start": start, "data-end": end, onclick: () => go(start) },
    el("span.at", clock(start)), el("span", shown(words))))));
}

/** Scrolls within a box; the page stays where it is. */
function scrollInBox(box, node) {
  if (!node || box.contains(focused())) return;
  box.scrollTop = node.offsetTop - box.clientHeight / 3;
}

/** Gives the captions to the player once it plays; they are text, not markup. */
function addTrack(player, cues) {
  player.addEventListener("play", () => {
    const track = player.addTextTrack("captions", "Captions");
    const plain = (words) => words.replace(/&/g, "&amp;").replace(/</g, "&lt;");
    for (const [start, end, words] of cues) if (end > start) track.addCue(new VTTCue(start, end, plain(words)));
    track.mode = "hidden";
  }, { once: true });
}

async function showCaptions(side, { captions }, time) {
  const part = el("section", el("h2", "Captions"), el("p.faint", "Loading …"));
  side.append(part);
  try {
    const cues = await loadCaptions(captions.file);
    const box = captionBox(cues, time.go);
    part.lastChild.replaceWith(box);
    time.follow((second) => scrollInBox(box, markCurrent(box, second)));
    if (time.stage.player) addTrack(time.stage.player, cues);
  } catch {
    part.lastChild.textContent = "They could not be read. “reelmill gallery” writes them again.";
  }
}

// ---------------------------------------------------------------------------------------------------------------- answers

/** Returns a list of names with what they stand for; pairs without a value are left out. */
const pairList = (pairs) => el("dl", pairs.filter(([, value]) => value && value.length !== 0).map(([name, value]) => [el("dt", name), el("dd", value)]));
const fileList = (item, files) => texts(files).map((name) => el("p.files", outside(path(item.folder, name), name)));
const folderLink = (item) => outside(`${path(item.folder)}/`, item.folder);

/** Returns one job's answer. @param {Result} result */
function answerNode(item, result, control) {
  const blocks = list(result.blocks).filter(isObject);
  const rest = blocks.filter((block) => !block.chapters);
  const notes = texts(result.notes).map((note) => el("li", note));
  return el("section.answer", el("h2", capital(text(result.name))),
    rest.map((block) => blockNode(block, control)), rest.length < blocks.length && el("p.faint", "The chapters stand beside the video."),
    notes.length > 0 && el("ul.notes", notes),
    el("details", el("summary", "Where this comes from"), pairList([
      ["Job", text(result.job)], ["Model", texts([result.model, result.provider]).join(" on ")],
      ["Asked", timeOf(result.asked_at)], ["Answered", timeOf(result.answered_at)],
      ["Files", fileList(item, result.files)], ["Prompt", text(result.prompt) && el("pre", { tabindex: 0 }, result.prompt)],
    ])));
}

function sourceNode(source) {
  const label = text(source.label) || text(source.url);
  const metadata = pairsOf(source.metadata).map(([name, value]) => [name, text(value)]);
  const page = pageOf({ sources: [source] });
  return el("div", page ? outside(page, label) : label, metadata.length > 0 && table(["Field", "Value"], metadata));
}

function provenance(item, entry) {
  const calls = `${plural(amount(entry.calls), "paid call")}, ${number(amount(entry.minutes))} min of video`;
  return el("details", el("summary", "Source, cost and files"), pairList([
    ["Source", list(entry.sources).map(sourceNode)], ["Folder", folderLink(item)], ["Captions", fileList(item, [entry.captions?.name])],
    ["Cost", `${usd(item.usd)} for ${calls}`], ["Doubtful", entry.doubtful > 0 && `${plural(entry.doubtful, "call")} possibly paid twice`],
  ]));
}

function answers(item, entry, control) {
  const results = list(entry.results);
  const nodes = (isCurrent) => results.filter(({ current }) => (current !== false) === isCurrent).map((result) => answerNode(item, result, control));
  const earlier = nodes(false);
  return el("div.body",
    entry.cut && el("p.notice", "The answers are too large for this page. Their folder holds them: ", folderLink(item)),
    nodes(true), earlier.length > 0 && el("details", el("summary", "Answers that nobody asks for now"), earlier),
    el("section.answer", el("h2", "This video"), provenance(item, entry), texts(entry.commands).map(command)));
}

// --------------------------------------------------------------------------------------------------------------- the view

function stepLink(item, by, words) {
  const some = shown.filter((each) => each.folder);
  const at = some.indexOf(item);
  const next = at >= 0 && some[at + by];
  return next ? el("a", { href: videoHash(next.folder), label: `${by > 0 ? "Next" : "Previous"}: ${next.title}` }, words) : el("span.faint", words);
}

function videoHead(item) {
  const classes = pairsOf(item.facets).flatMap(([name, words]) => words.map((word) => [`class.${name}`, word]));
  return [
    el("nav.way", { label: "Within the library" }, el("a", { href: listHash() }, "‹ Library"), stepLink(item, -1, "‹ Previous"), stepLink(item, 1, "Next ›")),
    el("header", el("h1", { tabindex: "-1" }, item.title), facts(item, item.state !== "done" && badge(item.state), item.seconds && clock(item.seconds)),
      tagList([...item.tags.map((tag) => ["tag", tag]), ...classes]), reason(item.why)),
  ];
}

/** Returns what the parts of a view share: the second it is at, who follows it, and the way to go to another. */
function makeTime(item, start) {
  const followers = [];
  const time = {
    at: (second) => { start = second; followers.forEach((follower) => follower(second)); },
    follow: (follower) => { followers.push(follower); follower(start); },
    go: (second) => {
      history.replaceState(null, "", videoHash(item.folder, second));
      time.stage.go(second);
      time.at(second);
    },
  };
  return time;
}

/** Returns a maker of links to a second: within this page, or at the source if nothing plays here. */
function controlOf(item, entry, time) {
  const page = pageOf(entry);
  return (start, ...children) => {
    if (!time.stage.plays && youtubeId(page)) return outside(atSecond(page, start), ...children);
    const onclick = (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      time.go(start);
    };
    return el("a", { href: videoHash(item.folder, start), onclick }, ...children);
  };
}

function chaptersOf(entry) {
  const blocks = list(entry.results).filter(({ current }) => current !== false).flatMap((result) => list(result.blocks));
  return list(blocks.find((block) => block.kind === "moments" && block.chapters)?.items).filter(({ start }) => Number.isFinite(start));
}

/** Fills the view of a video once its entry is there. */
function fillVideo(section, item, entry, start) {
  const time = makeTime(item, start);
  time.stage = (entry.media && safe(entry.media, false) ? fileStage : stillStage)(item, entry, start, time.at);
  const control = controlOf(item, entry, time);
  const chapters = chaptersOf(entry);
  const screen = el("div.screen", time.stage.node);
  const side = el("aside", { label: "Chapters and captions" });
  if (chapters.length) {
    const bar = chapterBar(chapters, time.go);
    const rows = momentList(chapters, control);
    screen.append(bar);
    side.append(el("section", el("h2", "Chapters"), rows));
    time.follow((second) => { markCurrent(bar, second); scrollInBox(rows, markCurrent(rows, second)); });
  }
  if (entry.captions) showCaptions(side, entry, time);
  section.querySelector(".screen").replaceWith(screen);
  section.append(...(side.firstChild ? [side] : []), answers(item, entry, control));
  section.classList.toggle("alone", !side.firstChild);
  section.seek = time.go;
}

/** Returns the view of a video at a second. @param {Item} item */
function videoView(item, start) {
  const section = el("section.video", videoHead(item), el("div.screen", el("div.stage", poster(item))));
  entryOf(item).then((entry) => fillVideo(section, item, entry, start)).catch(() => section.append(el("div.body",
    notice("The details of this video cannot be read. Its folder holds them: ", folderLink(item), "."))));
  return section;
}
