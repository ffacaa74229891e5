"use strict";
// Elements, words and addresses for all views. The scripts of this page share one scope; this one comes first.
// Every text of the data is foreign: it becomes a text node or a checked address, never HTML and never code.

/** Returns `address` if it is a file of this machine, beside this page or, `abroad`, https; else "". */
function safe(address, abroad = true) {
  if (!URL.canParse(address, document.baseURI)) return "";
  const { protocol, host } = new URL(address, document.baseURI);
  const isHere = (protocol === location.protocol && host === location.host) || (protocol === "file:" && !host);
  return isHere || (abroad && protocol === "https:") ? address : "";
}

const byId = (id) => document.getElementById(id);
const focused = () => document.activeElement;
const pairsOf = (value) => Object.entries(value ?? {});

function setAttribute(node, name, value) {
  if (!value && value !== 0) return;
  if (typeof value === "function") node.addEventListener(name.slice(2), value);
  else if (/^(on|style|srcdoc)/i.test(name)) throw new Error(name);
  else if (!/^(href|src|poster)$/.test(name)) node.setAttribute(name === "label" ? "aria-label" : name, value === true ? "" : value);
  else if (safe(value)) node.setAttribute(name, value);
}

function build(node, [first, ...rest]) {
  const isAttributes = first?.constructor === Object;
  if (isAttributes) for (const [name, value] of pairsOf(first)) setAttribute(node, name, value);
  const children = (isAttributes ? rest : [first, ...rest]).flat(4);
  node.append(...children.filter((child) => child instanceof Node || (child !== "" && /^(string|number)$/.test(typeof child))));
  return node;
}

/** Makes an element: `el("p.faint", {title: "…"}, children…)`. A function under `onclick` listens; `label` is for ears. */
function el(name, ...parts) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  if (tag === "button") node.type = "button";
  return build(node, parts);
}

const svg = (tag, ...parts) => build(document.createElementNS("http://www.w3.org/2000/svg", tag), parts);

/** A link that opens in a tab of its own: another site, or a file. */
const outside = (href, ...children) => el("a", { href, target: "_blank", rel: "noopener noreferrer" }, ...children);

// ---------------------------------------------------------------------------------------------------------- foreign data

const text = (value) => (typeof value === "string" ? value : Number.isFinite(value) ? String(value) : "");
const list = (value) => (Array.isArray(value) ? value.filter((each) => each !== null) : []);
const texts = (value) => list(value).map(text).filter(Boolean);
const amount = (value) => (Number.isFinite(value) ? value : 0);
const isObject = (value) => Object(value) === value && !Array.isArray(value);

const encode = (name) => encodeURIComponent(name.toWellFormed());

/** The address of a file below the output folder. */
const path = (...parts) => parts.join("/").split("/").filter((name) => !/^\.{0,2}$/.test(name)).map(encode).join("/");

// --------------------------------------------------------------------------------------------------------------- numbers

const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 1 });
const plural = (value, word) => `${number(value)} ${word}${value === 1 ? "" : "s"}`;
const usd = (value) => `$${value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: value < 0.1 ? 4 : 2 })}`;
const now = () => performance.now();
const two = (value) => String(value).padStart(2, "0");
const capital = (name) => name.charAt(0).toUpperCase() + name.slice(1).replace(/_/g, " ");
const timeParts = (seconds) => [seconds / 3600, (seconds / 60) % 60, seconds % 60].map((part) => Math.max(0, Math.floor(part)));

/** Seconds as "1:02:03". */
function clock(seconds) {
  const [h, m, s] = timeParts(seconds);
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Seconds as "1 hour 2 minutes". */
function spoken(seconds) {
  const words = timeParts(seconds).map((part, i) => part && plural(part, ["hour", "minute", "second"][i]));
  return words.filter(Boolean).join(" ") || "0 seconds";
}

/** The local day as "2026-11-28". */
function day(at) {
  const date = new Date(at * 1000);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** A time of this place, in words. */
const local = (at, form) => new Date(at * 1000).toLocaleString("en-GB", form);

const DATE = { day: "numeric", month: "short", year: "numeric" };

/** A local date, with its time if `form` says so; the tooltip has it in UTC. */
function when(at, form = DATE) {
  const date = new Date(amount(at) * 1000);
  if (!amount(at) || Number.isNaN(date.getTime())) return "";
  const utc = date.toISOString();
  return el("time", { datetime: utc, title: `${utc.slice(0, 19).replace("T", " ")} UTC` }, local(at, form));
}

const timeOf = (at) => when(at, { ...DATE, hour: "2-digit", minute: "2-digit" });

// -------------------------------------------------------------------------------------------------------------- controls

/** A command line with its copy button. A page from disk may not be allowed to copy: then it selects. */
function command(line) {
  if (!line) return null;
  const code = el("code", line.split(/(?<= )/).map((word) => el("span", word)));
  const said = el("span.said", { role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(line);
      said.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      said.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { said.textContent = ""; }, 4000);
  };
  return el("div.command", code, el("button.small", { label: `Copy: ${line}`, onclick: copy }, "Copy"), said);
}

/** Makes the buttons in `box` one stop of the tab key; the arrow keys go between them. */
function oneStop(box) {
  const nodes = [...box.querySelectorAll("button")];
  const choose = (chosen) => nodes.forEach((node) => { node.tabIndex = node === chosen ? 0 : -1; });
  choose(nodes[0]);
  box.addEventListener("focusin", (event) => choose(event.target.closest("button")));
  box.addEventListener("keydown", (event) => {
    const at = nodes.indexOf(focused());
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: nodes.length - 1 }[event.key];
    if (!nodes[to]) return;
    event.preventDefault();
    nodes[to].focus();
  });
  return box;
}

// ---------------------------------------------------------------------------------------------------------- colour scheme

const SCHEMES = { __proto__: null, auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" };

/** Uses the scheme that the reader chose; storage may be forbidden, then the choice holds until the page is closed. */
function schemeButton(button) {
  const names = Object.keys(SCHEMES);
  let name = "auto";
  const use = (chosen) => {
    name = chosen in SCHEMES ? chosen : "auto";
    document.documentElement.dataset.scheme = name;
    button.textContent = SCHEMES[name];
    button.ariaLabel = `Colours: ${name}`;
  };
  button.onclick = () => {
    use(names[(names.indexOf(name) + 1) % names.length]);
    try { localStorage.setItem("reelmill-scheme", name); } catch {}
  };
  button.hidden = false;
  use(name);
  try { use(localStorage.getItem("reelmill-scheme")); } catch {}
}

schemeButton(byId("scheme"));
