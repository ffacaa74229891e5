"use strict";
// The page: which view an address means, where the reader was, and what could not be read.

const main = document.getElementById("main");
const notices = document.getElementById("notices");
let current = { name: "", node: null };
let listScroll = 0;
let listFocus = null;

function swap(name, node, title) {
  if (current.name === "list") [listScroll, listFocus] = [scrollY, document.activeElement];
  if (current.node !== node) {
    if (current.node === listSection) listSection.hidden = true;
    else current.node?.remove();
  }
  node.hidden = false;
  if (!node.isConnected) main.append(node);
  document.title = `${title} · Reelmill`;
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const isFirst = !current.name;
  current = { name, node };
  return isFirst;
}

/** Moves the focus to the new view, and the page to where it was. */
function arrive(node, isFirst, top = 0, focus = null) {
  const target = focus?.isConnected && focus !== document.body ? focus : node.querySelector("h1");
  if (!isFirst) target.focus({ preventScroll: true });
  scrollTo({ top, behavior: "instant" });
}

async function showVideo(folder, start) {
  if (current.node?.dataset.folder === folder && current.node.seek) {
    current.node.seek(start);
    return;
  }
  const asked = location.hash;
  const item = await itemOf(folder);
  if (location.hash !== asked) return;
  const node = item ? videoView(item, start) : el("section", el("h1", { tabindex: "-1" }, "No such video"),
    el("p", "The library has no video with this address: ", el("code", folder), ". "), el("p", el("a", { href: "#/" }, "Show the library")));
  node.dataset.folder = folder;
  arrive(node, swap("video", node, item?.title ?? "No such video"));
}

/** Shows the view that the address means. */
function route() {
  const [where, given = ""] = location.hash.slice(1).split("?");
  const folder = /^\/v\/(.+)$/.exec(where)?.[1];
  if (folder) {
    const start = Number(new URLSearchParams(given).get("t")) || 0;
    showVideo(decoded(folder), Math.max(0, start));
  } else if (where === "/runs") {
    const node = reportView();
    arrive(node, swap("report", node, "Runs"));
  } else {
    const isReturn = current.name && current.name !== "list";
    const isSame = listHash() === (given ? `#/?${given}` : "#/");
    const isFirst = swap("list", listSection, "Library");
    showList(given);
    if (isReturn) arrive(listSection, isFirst, isSame ? listScroll : 0, isSame ? listFocus : null);
  }
}

function decoded(folder) {
  try {
    return decodeURIComponent(folder);
  } catch {
    return folder;
  }
}

/** Says calmly what cannot be read and what makes it again. */
function notice(sentence, line = "reelmill gallery") {
  notices.replaceChildren(el("div.notice", el("p", sentence), command(line)));
}

const brokenFiles = new Map();

function broken(part, word) {
  brokenFiles.set(text(part.file), word);
  const names = [...brokenFiles].map(([name, each]) => `${name} (${each})`).slice(0, 5).join(", ");
  notice(`${plural(brokenFiles.size, "data file")} of this page cannot be read: ${names}${brokenFiles.size > 5 ? ", …" : ""}. All else works. This command writes the page again:`);
}

const NO_INDEX = {
  missing: "This page has no data yet, or its folder “gallery” was left behind. This command makes it:",
  damaged: "The data of this page is damaged. This command makes the page again:",
  format: "The data of this page was made by another version of Reelmill. This command makes the page again:",
};

/** What is closed is not printed: opens it, and closes it again. */
function printWhole() {
  const closed = [...document.querySelectorAll(".report details:not([open])")];
  closed.forEach((each) => { each.open = true; });
  addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }), { once: true });
}

async function start() {
  schemeButton(document.getElementById("scheme"));
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
  history.scrollRestoration = "manual";
  try {
    await openIndex();
  } catch (error) {
    notice(NO_INDEX[error.message] ?? NO_INDEX.damaged);
    return;
  }
  document.getElementById("bottom").append(`Made by Reelmill ${text(index.version)}, `, when(index.made_at, DATE_TIME));
  isLoading = list(index.rows_files).length > 0;
  addEventListener("hashchange", route);
  addEventListener("beforeprint", printWhole);
  const loaded = new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve))).then(() => loadAll({ rows: rowsArrived, shard: shardArrived, broken }));
  route();
  performance.mark("reelmill-cards");
  await loaded;
}

start();
