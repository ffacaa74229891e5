"use strict";
// Figures as SVG, each with its numbers in a table. They are drawn as wide as their place, so their words keep their size.

const HEIGHT = 150;
const TOP = 20; // room above the bars, and beside them for words
const LEFT = 56;

/** Returns a round number at or above `most`. */
function roundUp(most) {
  const unit = 10 ** Math.floor(Math.log10(most || 1));
  return [1, 2, 4, 6, 8, 10].map((factor) => factor * unit).find((value) => value >= most) ?? most;
}

/**
 * Draws stacked bars.
 * @param {{series: string[], bars: {label: any, short: string, values: number[]}[], limit?: number, words: (value: number) => string}} data
 */
function drawBars({ series, bars, limit, words, title }, width) {
  const room = width - LEFT - 8;
  const some = bars.slice(-Math.max(1, Math.floor(room / 5)));
  const sum = ({ values }) => values.reduce((a, b) => a + b, 0);
  const top = roundUp(Math.max(...some.map(sum), amount(limit), words === number ? 2 : 0));
  const y = (value) => TOP + HEIGHT * (1 - value / top);
  const pitch = Math.min(48, room / some.length);
  const lines = [0, top / 2, top].map((value) => [
    svg("line", { class: "rule", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
    svg("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, words(value)),
  ]);
  const every = Math.ceil(64 / pitch);
  const columns = some.map((bar, i) => {
    const x = LEFT + i * pitch;
    let base = 0;
    const parts = bar.values.map((value, k) => {
      const part = svg("rect", { class: series[k], x: x + pitch * 0.1, width: pitch * 0.8, y: y(base + value), height: (HEIGHT * value) / top });
      base += value;
      return part;
    });
    const label = i % every === 0 && x + 46 < width && svg("text", { x: x + pitch * 0.1, y: HEIGHT + TOP + 16 }, bar.short);
    const said = bar.values.map((value, k) => `${words(value)} ${series[k]}`);
    return svg("g", svg("title", `${bar.short}: ${said.join(", ")}`), parts, label);
  });
  const limitLine = limit > 0 && [
    svg("line", { class: "limit", x1: LEFT, x2: width, y1: y(limit), y2: y(limit) }),
    svg("text", { class: "limit", x: width, y: y(limit) - 4, "text-anchor": "end" }, `limit ${words(limit)}`),
  ];
  const height = HEIGHT + TOP + 22;
  const rest = some.length < bars.length ? el("p.legend", `The newest ${some.length} of ${bars.length}`) : "";
  return [svg("svg", { role: "img", label: title, viewBox: `0 0 ${width} ${height}`, width, height }, lines, columns, limitLine), rest];
}

/** Draws one horizontal bar for each row, up to the longest or to the limit. */
function drawRows({ bars, words, title, limit = 1 }, width) {
  const top = Math.max(...bars.map(({ values }) => values[0]), limit);
  const rows = bars.map(({ short, values: [value] }, i) => svg("g",
    svg("text", { x: 0, y: i * 40 + 14 }, short),
    svg("rect", { class: "waiting", x: 0, y: i * 40 + 20, width: Math.max(2, (value / top) * (width - 60)), height: 10, rx: 3 }),
    svg("text", { x: Math.max(2, (value / top) * (width - 60)) + 8, y: i * 40 + 29 }, words(value))));
  return [svg("svg", { role: "img", label: title, viewBox: `0 0 ${width} ${bars.length * 40}`, width, height: bars.length * 40 }, rows)];
}

/** Returns a figure: title, drawing, what its colours mean, and its table. */
function figure({ heading, first, columns = {}, draw = drawBars, ...data }) {
  const { series, bars, words } = data;
  const title = `${heading}, as in the table below`;
  const place = el("div.drawing");
  let width = 0;
  new ResizeObserver(() => {
    if (place.clientWidth === width || !place.clientWidth) return;
    width = place.clientWidth;
    place.replaceChildren(...draw({ ...data, title }, width));
  }).observe(place);
  const legend = series.length > 1 && el("ul.legend", series.map((name) => el("li", el(`span.key.${name}`), capital(name))));
  const rows = [...bars].reverse().map(({ label, values, row }) => [label, ...values.map(words), ...Object.values(columns).map((column) => column(row))]);
  return el("figure", el("figcaption", heading), legend, place,
    el("details", el("summary", "As a table"), el("div.table", { tabindex: 0, role: "region", label: heading }, table([first, ...series.map(capital), ...Object.keys(columns)], rows))));
}
