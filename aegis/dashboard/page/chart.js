// Pictures in SVG, drawn for the width that there is.

import { h, percent, plural, s } from "./dom.js";

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

/** Return what writes ticks with as many digits as tell them apart: 0.95, 1.00, 1.05, not 0.95, 1.0, 1.1. */
export function tickWriter(marks) {
  const step = Math.min(...marks.slice(1).map((at, index) => at - marks[index]));
  if (!Number.isFinite(step)) return (at) => String(Number(at.toPrecision(3)));
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return digits > 5 ? (at) => at.toExponential(1) : (at) => at.toFixed(digits);
}

/**
 * Return a chart of lines with its legend. series: [{name, kind, points: [[x, y]]}]. lines: levels, [{y, label}].
 * whisker: {x, low, high, label}, an interval at the end. band: {label, points: [[x, low, high]]}, one at each x.
 * write: a y in words, else in digits.
 */
export function lineChart({ label, series, lines = [], whisker = null, band = null, low, high, xLabel, write = null, whole = true }) {
  const width = widthOf(true), height = 250;
  const all = series.flatMap((one) => one.points);
  const ys = [...all.map(([, y]) => y), ...lines.map((one) => one.y), ...(whisker ? [whisker.low, whisker.high] : []), ...(band?.points ?? []).flatMap(([, ...ends]) => ends)];
  const [y0, y1] = [low ?? Math.min(...ys), high ?? Math.max(...ys)];
  const xs = all.map(([x]) => x);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs, Math.min(...xs) + 1)];
  const px = (x) => LEFT + ((x - x0) / (x1 - x0)) * (width - LEFT - RIGHT);
  const py = (y) => TOP + (1 - (y - y0) / (y1 - y0 || 1)) * (height - TOP - BOTTOM);
  const text = (x, y, words, kind, anchor) => s("text", { x, y, class: kind, "text-anchor": anchor }, words);
  const marks = ticks(x0, x1, Math.max(2, width / 90)).filter((x) => !whole || Number.isInteger(x));
  const levels = ticks(y0, y1, 5);
  const tick = write ?? tickWriter(levels);
  return h("figure", { class: "chart" },
    s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
      levels.map((y) => [s("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: py(y), y2: py(y) }), text(LEFT - 6, py(y) + 4, tick(y), "tick", "end")]),
      marks.map((x) => text(px(x), height - BOTTOM + 16, String(x), "tick", "middle")),
      text((LEFT + width - RIGHT) / 2, height - 3, xLabel, "tick", "middle"),
      lines.map((one) => [s("line", { class: "level", x1: LEFT, x2: width - RIGHT, y1: py(one.y), y2: py(one.y) }), text(width - RIGHT - 14, py(one.y) + 16, one.label, "level-label", "end")]),
      band && s("g", { class: "whisker" }, s("title", {}, band.label), band.points.map(([x, ...ends]) => s("line", { x1: px(x), x2: px(x), y1: py(ends[0]), y2: py(ends[1]) }))),
      whisker && s("g", { class: "whisker" }, s("title", {}, whisker.label),
        s("line", { x1: px(whisker.x), x2: px(whisker.x), y1: py(whisker.low), y2: py(whisker.high) }),
        [whisker.low, whisker.high].map((y) => s("line", { x1: px(whisker.x) - 5, x2: px(whisker.x) + 5, y1: py(y), y2: py(y) }))),
      series.map((one) => [
        s("polyline", { class: `series ${one.kind}`, points: one.points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" ") }),
        one.points.length <= 60 && one.points.map(([x, y]) => s("circle", { class: `mark ${one.kind}`, cx: px(x), cy: py(y), r: 3 }, s("title", {}, `${one.name} at ${x}: ${write ? write(y) : y.toPrecision(3)}`))),
      ])),
    h("figcaption", {}, series.map((one) => h("span", { class: `key ${one.kind}` }, one.name)), [whisker, band].map((one) => one && h("span", { class: "key whisker" }, one.label))));
}

/**
 * Return moments on one time axis. items: [{at, kind, words}]; each kind has a row. rewards: [{at, mean, low, high, of}],
 * drawn above the rows on the same axis.
 */
export function timeline(items, kinds, label, rewards = []) {
  const width = widthOf(false), left = 104, row = 26, top = rewards.length ? 150 : 0, height = top + kinds.length * row + 40;
  const times = [...items, ...rewards].map((one) => Date.parse(one.at));
  const [t0, t1] = [Math.min(...times), Math.max(...times, Math.min(...times) + 1000)];
  const px = (time) => left + ((time - t0) / (t1 - t0)) * (width - left - 16);
  const ends = (time, anchor) => s("text", { x: px(time), y: height - 8, class: "tick", "text-anchor": anchor },
    new Date(time).toLocaleString(undefined, width < 500 ? { timeStyle: "short" } : { dateStyle: "short", timeStyle: "medium" }));
  return h("figure", { class: "chart" }, s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    rewards.length > 0 && rewardBand(rewards, px, left, width - 16, top),
    kinds.map(([kind, name], index) => {
      const y = top + row / 2 + index * row + 6;
      return [s("text", { x: 0, y: y + 4, class: "tick" }, name), s("line", { class: "grid", x1: left, x2: width - 16, y1: y, y2: y }),
        items.filter((one) => one.kind === kind).map((one) =>
          s("circle", { class: `event ${kind}`, cx: px(Date.parse(one.at)), cy: y, r: 6 }, s("title", {}, one.words)))];
    }), ends(t0, "start"), ends(t1, "end")),
  rewards.length > 0 && h("figcaption", {}, h("span", { class: "key first" }, "mean reward"), h("span", { class: "key whisker" }, "95% interval, by episode")));
}

function rewardBand(rewards, px, left, right, height) {
  const ys = rewards.flatMap((one) => [one.low ?? one.mean, one.high ?? one.mean]);
  const pad = Math.min(...ys) === Math.max(...ys) ? 0.5 : 0; // rewards that are all alike lie in the middle
  const [y0, y1] = [Math.min(...ys) - pad, Math.max(...ys) + pad];
  const py = (y) => 12 + (1 - (y - y0) / (y1 - y0 || 1)) * (height - 30);
  const levels = ticks(y0, y1, 4);
  const tick = tickWriter(levels);
  return [s("text", { x: 0, y: 24, class: "tick" }, "reward"),
    levels.map((y) => [s("line", { class: "grid", x1: left, x2: right, y1: py(y), y2: py(y) }), s("text", { x: left - 6, y: py(y) + 4, class: "tick", "text-anchor": "end" }, tick(y))]),
    rewards.filter((one) => one.low !== null).map((one) => { const x = px(Date.parse(one.at)); return s("g", { class: "whisker" }, s("line", { x1: x, x2: x, y1: py(one.low), y2: py(one.high) })); }),
    s("polyline", { class: "series first", points: rewards.map((one) => `${px(Date.parse(one.at)).toFixed(1)},${py(one.mean).toFixed(1)}`).join(" ") }),
    rewards.map((one) => s("circle", { class: "mark first", cx: px(Date.parse(one.at)), cy: py(one.mean), r: 3 }, s("title", {}, `${one.mean.toFixed(2)}${one.low === null ? "" : ` (${one.low.toFixed(2)} to ${one.high.toFixed(2)})`} in ${one.of} decisions of ${plural(one.episodes, "episode")}`)))];
}

/** Return how often an HRM was right by its confidence: bins [{confidence, right, low, high, of}] and the diagonal. */
export function reliability(bins, label) {
  const size = Math.min(widthOf(true), 340), all = size - LEFT - 2 * RIGHT; // room for the last tick's words
  const p = (share) => share * all;
  const [px, py] = [(x) => LEFT + p(x), (y) => TOP + all - p(y)];
  const height = TOP + all + BOTTOM;
  return h("figure", { class: "chart" }, s("svg", { width: size, height, viewBox: `0 0 ${size} ${height}`, role: "img", "aria-label": label },
    [0, 0.25, 0.5, 0.75, 1].map((at) => [s("line", { class: "grid", x1: LEFT, x2: LEFT + all, y1: py(at), y2: py(at) }),
      s("text", { x: LEFT - 6, y: py(at) + 4, class: "tick", "text-anchor": "end" }, percent(at)),
      s("text", { x: px(at), y: TOP + all + 16, class: "tick", "text-anchor": "middle" }, percent(at))]),
    s("line", { class: "level", x1: px(0), y1: py(0), x2: px(1), y2: py(1) }),
    bins.map((one) => [s("g", { class: "whisker" }, s("line", { x1: px(one.confidence), x2: px(one.confidence), y1: py(one.low), y2: py(one.high) })),
      s("circle", { class: "mark first", cx: px(one.confidence), cy: py(one.right), r: 4 }, s("title", {}, `${percent(one.right)} right at ${percent(one.confidence)} confidence, of ${one.of}`))]),
    s("text", { x: LEFT + all / 2, y: height - 3, class: "tick", "text-anchor": "middle" }, "confidence")),
  h("figcaption", {}, h("span", { class: "key first" }, "share right"), h("span", { class: "key whisker" }, "95% interval")));
}

/** Return an HRM's agreement over its share of the decisions: points [{from, share, agreement, low, high, of}]. */
export function coverageChart({ points, promised }, label) {
  const width = widthOf(true), height = 300;
  const low = Math.min(promised, ...points.map((one) => one.low));
  const px = (share) => LEFT + share * (width - LEFT - 2 * RIGHT);
  const py = (y) => TOP + ((1 - y) / (1 - low || 1)) * (height - TOP - BOTTOM);
  return h("figure", { class: "chart" }, s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    ticks(low, 1, 5).map((y) => [s("line", { class: "grid", x1: LEFT, x2: px(1), y1: py(y), y2: py(y) }), s("text", { x: LEFT - 6, y: py(y) + 4, class: "tick", "text-anchor": "end" }, percent(y))]),
    [0, 0.25, 0.5, 0.75, 1].map((at) => s("text", { x: px(at), y: height - BOTTOM + 16, class: "tick", "text-anchor": "middle" }, percent(at))),
    s("text", { x: px(0.5), y: height - 3, class: "tick", "text-anchor": "middle" }, "share that the HRM would decide"),
    s("line", { class: "level", x1: LEFT, x2: px(1), y1: py(promised), y2: py(promised) }),
    s("text", { x: LEFT + 4, y: py(promised) + 16, class: "level-label" }, `${percent(promised)} promised`),
    points.map((one) => s("g", { class: "whisker" }, s("line", { x1: px(one.share), x2: px(one.share), y1: py(one.low), y2: py(one.high) }))),
    s("polyline", { class: "series first", points: points.map((one) => `${px(one.share).toFixed(1)},${py(one.agreement).toFixed(1)}`).join(" ") }),
    points.map((one) => s("circle", { class: "mark first", cx: px(one.share), cy: py(one.agreement), r: 4 },
      s("title", {}, `from ${percent(one.from)} confidence on: ${percent(one.share, 1)} of the decisions, ${percent(one.agreement, 1)} agreement (${percent(one.low, 1)} to ${percent(one.high, 1)}), of ${one.of}`)))),
  h("figcaption", {}, h("span", { class: "key first" }, "agreement there"), h("span", { class: "key whisker" }, "95% interval, by episode")));
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
