"use strict";
// The page: which view an address means, where the reader was, and what could not be read.

const main = byId("main");
const notices = byId("notices");
let current = { name: "", node: null };
/** Where the reader was in the list: height, focus, and where that was on the screen. */
let place = { top: 0 };

/** Puts a view in place of the last, and the reader where `to` says, else at its heading. */
function swap(name, node, title, to = { top: 0 }) {
  if (current.name === "list") place = { top: scrollY, focus: focused(), y: focused().getBoundingClientRect().top };
  current.node?.remove();
  main.append(node);
  document.title = `${title} · Reelmill`;
  for (const link of document.querySelectorAll("[data-view]")) link.ariaCurrent = link.dataset.view === name ? "page" : null;
  const isBack = node.contains(to.focus ?? null);
  if (current.name) (isBack ? to.focus : node.querySelector("h1")).focus({ preventScroll: true });
  current = { name, node };
  scrollTo(0, to.top);
  if (isBack) scrollBy(0, to.focus.getBoundingClientRect().top - to.y); // heights of cards above may be guesses
}

async function showVideo(folder, start) {
  if (current.node?.dataset.folder === folder && current.node.seek) {
    current.node.seek(start);
    return;
  }
  const asked = location.hash;
  const item = await itemOf(folder);
  if (location.hash !== asked) return;
  const node = item ? videoView(item, start) : el("section.empty", el("h1", { tabindex: "-1" }, "No such video"),
    el("p", "The library has no video with this address: ", el("code", folder), ". "), el("p", el("a", { href: "#/" }, "Show the library")));
  node.dataset.folder = folder;
  swap("video", node, item?.title ?? "No such video");
}

/** Shows the view that the address means. */
function route() {
  const [where, given = ""] = location.hash.slice(1).split("?");
  const folder = /^\/v\/(.+)$/.exec(where)?.[1];
  if (folder) showVideo(decoded(folder), Math.max(0, amount(Number(new URLSearchParams(given).get("t")))));
  else if (where === "/runs") swap("report", reportView(), "Runs");
  else {
    const isSame = showList(new URLSearchParams(given));
    if (current.name !== "list") swap("list", listSection, "Library", isSame ? place : undefined);
  }
}

function decoded(folder) {
  try {
    return decodeURIComponent(folder);
  } catch {
    return folder;
  }
}

/** Says calmly what could not be read; `reelmill gallery` makes it again. */
const notice = (...words) => el("div.notice", el("p", ...words, " This command makes the page again:"), command("reelmill gallery"));

const brokenFiles = [];

function broken(part, word) {
  brokenFiles.push(`${text(part.file)} (${word})`);
  const names = brokenFiles.slice(0, 5).join(", ") + (brokenFiles.length > 5 ? ", …" : "");
  notices.replaceChildren(notice(`${plural(brokenFiles.length, "data file")} could not be read: ${names}. All else works.`));
}

const NO_INDEX = {
  __proto__: null,
  missing: "This page has no data, or its folder “gallery” was left behind.",
  format: "The data of this page was made by another version of Reelmill.",
};

async function start() {
  document.querySelector(".skip").onclick = (event) => { event.preventDefault(); main.focus(); };
  history.scrollRestoration = "manual";
  try {
    await openIndex();
  } catch (error) {
    notices.replaceChildren(notice(NO_INDEX[error.message] ?? "The data of this page is damaged.", " The titles are in ", el("a", { href: "index.txt" }, "index.txt"), ", too."));
    return;
  }
  byId("bottom").append(`Made by Reelmill ${text(index.version)}, `, timeOf(index.made_at));
  addEventListener("hashchange", route);
  if (location.hash.startsWith("#/v/")) refresh(); // its neighbours
  route();
  requestAnimationFrame(() => setTimeout(() => loadAll({ rows: rowsArrived, shard: shardArrived, broken })));
}

start();
