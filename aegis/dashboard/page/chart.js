// Pictures in SVG, drawn for the width that there is.

import { h, percent, s } from "./dom.js";

const LEFT = 44, RIGHT = 12, TOP = 12, BOTTOM = 34;

/** Return the width inside a card, or half of it where two charts fit beside each other. */
function widthOf(halved) {
  const all = document.getElementById("view").clientWidth;
  const inside = all - (innerWidth <= 640 ? 56 : 84);
  return halved && inside > 760 ? (inside - 16) / 2 : inside;
}

function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(Math.abs(at) < step / 1e6 ? 0 : at);
  return found;
}

/**
 * Return a chart of lines with its legend. series: [{name, kind, points: [[x, y]]}]. lines: levels, [{y, label}].
 * whisker: {x, low, high, label}, an interval at the end. write: a y in words.
 */
export function lineChart({ label, series, lines = [], whisker = null, low, high, xLabel, write = (y) => y.toPrecision(2), whole = true }) {
  const width = widthOf(true), height = 250;
  const all = series.flatMap((one) => one.points);
  const ys = [...all.map(([, y]) => y), ...lines.map((one) => one.y), ...(whisker ? [whisker.low, whisker.high] : [])];
  const [y0, y1] = [low ?? Math.min(...ys), high ?? Math.max(...ys)];
  const xs = all.map(([x]) => x);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs, Math.min(...xs) + 1)];
  const px = (x) => LEFT + ((x - x0) / (x1 - x0)) * (width - LEFT - RIGHT);
  const py = (y) => TOP + (1 - (y - y0) / (y1 - y0 || 1)) * (height - TOP - BOTTOM);
  const text = (x, y, words, kind, anchor) => s("text", { x, y, class: kind, "text-anchor": anchor }, words);
  const marks = ticks(x0, x1, Math.max(2, width / 90)).filter((x) => !whole || Number.isInteger(x));
  return h("figure", { class: "chart" },
    s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
      ticks(y0, y1, 5).map((y) => [s("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: py(y), y2: py(y) }), text(LEFT - 6, py(y) + 4, write(y), "tick", "end")]),
      marks.map((x) => text(px(x), height - BOTTOM + 16, String(x), "tick", "middle")),
      text((LEFT + width - RIGHT) / 2, height - 3, xLabel, "tick", "middle"),
      lines.map((one) => [s("line", { class: "level", x1: LEFT, x2: width - RIGHT, y1: py(one.y), y2: py(one.y) }), text(width - RIGHT - 14, py(one.y) + 16, one.label, "level-label", "end")]),
      whisker && s("g", { class: "whisker" }, s("title", {}, whisker.label),
        s("line", { x1: px(whisker.x), x2: px(whisker.x), y1: py(whisker.low), y2: py(whisker.high) }),
        [whisker.low, whisker.high].map((y) => s("line", { x1: px(whisker.x) - 5, x2: px(whisker.x) + 5, y1: py(y), y2: py(y) }))),
      series.map((one) => [
        s("polyline", { class: `series ${one.kind}`, points: one.points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" ") }),
        one.points.length <= 60 && one.points.map(([x, y]) => s("circle", { class: `mark ${one.kind}`, cx: px(x), cy: py(y), r: 3 }, s("title", {}, `${one.name} at ${x}: ${write(y)}`))),
      ])),
    h("figcaption", {}, series.map((one) => h("span", { class: `key ${one.kind}` }, one.name)), whisker && h("span", { class: "key whisker" }, whisker.label)));
}

/** Return moments on one time axis. items: [{at, kind, words}]; each kind has a row. */
export function timeline(items, kinds, label) {
  const width = widthOf(false), left = 104, row = 26, height = kinds.length * row + 40;
  const times = items.map((one) => Date.parse(one.at));
  const [t0, t1] = [Math.min(...times), Math.max(...times, Math.min(...times) + 1000)];
  const px = (time) => left + ((time - t0) / (t1 - t0)) * (width - left - 16);
  const ends = (time, anchor) => s("text", { x: px(time), y: height - 8, class: "tick", "text-anchor": anchor },
    new Date(time).toLocaleString(undefined, width < 500 ? { timeStyle: "short" } : { dateStyle: "short", timeStyle: "medium" }));
  return h("figure", { class: "chart" }, s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    kinds.map(([kind, name], index) => {
      const y = row / 2 + index * row + 6;
      return [s("text", { x: 0, y: y + 4, class: "tick" }, name), s("line", { class: "grid", x1: left, x2: width - 16, y1: y, y2: y }),
        items.filter((one) => one.kind === kind).map((one) =>
          s("circle", { class: `event ${kind}`, cx: px(Date.parse(one.at)), cy: y, r: 6 }, s("title", {}, one.words)))];
    }), ends(t0, "start"), ends(t1, "end")));
}

/** Return a matrix of counts as a table: rows are the teacher's actions, columns the HRM's. */
export function matrix({ actions, matrix: rows }) {
  const totals = rows.map((row) => row.reduce((sum, one) => sum + one, 0));
  const head = (name) => h("span", { class: "cut", title: name }, name);
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Confusion of actions" },
    h("table", { class: "matrix" },
      h("caption", {}, "Rows: what the teacher did. Columns: what the HRM would have done."),
      h("thead", {}, h("tr", {}, h("td", {}), actions.map((name) => h("th", { scope: "col" }, head(name))))),
      h("tbody", {}, rows.map((row, at) => h("tr", {}, h("th", { scope: "row" }, head(actions[at])),
        row.map((count, place) => {
          const share = totals[at] ? count / totals[at] : 0;
          const kind = count === 0 ? "zero" : place === at ? "right" : "wrong";
          return h("td", { class: kind, title: `${percent(share)} of ${totals[at]}`, style: { "--share": share.toFixed(3) } }, String(count));
        }))))));
}
