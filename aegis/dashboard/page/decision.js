// A decision: in short, as an item of a list, and whole.

import { facts, h, moment, percent, signed } from "./dom.js";

const small = (share) => (share > 0 && share < 0.001 ? "<0.1%" : percent(share, share > 0 && share < 0.01 ? 1 : 0));

export function bars(shares, taken, label) {
  if (!shares.length) return h("p", { class: "quiet" }, "No probabilities were recorded.");
  return h("ul", { class: "bars", "aria-label": label },
    shares.map(({ action, share }) => h("li", { class: action === taken ? "taken" : null },
      h("span", { class: "name" }, action, action === taken && h("span", { class: "hidden" }, " (taken)")),
      h("span", { class: "rail", "aria-hidden": "true" }, h("span", { class: "fill", style: { width: percent(share, 1) } })),
      h("span", { class: "share" }, small(share)))));
}

const ASKED = { audit: "asked in an audit", canary: "asked in a canary", shadow: "asked silently" };
const STATUS = { ok: "ok", failed: "failed", unknown: "outcome unknown" };

function outcome(one) {
  const words = one.outcome ? STATUS[one.outcome] : "no outcome yet";
  return h("p", { class: "outcome" }, h("span", { class: `tag ${one.outcome ?? "unknown"}` }, words),
    one.reward !== null && h("span", { class: one.reward < 0 ? "reward bad" : "reward" }, `reward ${signed(one.reward)}`),
    one.detail && h("span", { class: "quiet" }, one.detail));
}

function notes(one) {
  const other = one.other;
  return [
    one.deferred && h("p", { class: "note" }, h("strong", {}, "Deferred to the teacher: "), one.deferred),
    one.drifted && !one.deferred && h("p", { class: "note" }, "The state is unlike the HRM's training."),
    other && h("p", { class: other.agrees ? "note" : "note bad" },
      `${other.policy}, ${ASKED[other.reason] ?? other.reason}, answered ${other.agrees ? "the same" : other.action}`),
    one.propensity !== null && h("p", { class: "note" }, `Drawn with probability ${percent(one.propensity, 1)}`),
  ];
}

/** Return a decision as an item of a list; address: of the whole decision. */
export function decisionItem(one, address) {
  const left = one.offered - one.probabilities.length;
  return h("li", { class: "decision", "data-place": one.place },
    h("div", { class: "line" },
      h("a", { class: "action", href: address }, one.action),
      h("span", { class: one.by_hrm ? "who hrm" : "who" }, one.policy), moment(one.at)),
    one.words && h("p", { class: "words" }, one.words),
    h("p", { class: "state" }, one.state),
    one.probabilities.length > 0 && bars(one.probabilities, one.action, "Probabilities"),
    one.probabilities.length > 0 && left > 0 && h("p", { class: "quiet" }, `and ${left} less probable`),
    outcome(one), notes(one));
}

function tree(value) {
  if (Array.isArray(value)) {
    return value.length ? h("ul", { class: "tree" }, value.map((one) => h("li", {}, tree(one)))) : h("span", { class: "quiet" }, "none");
  }
  if (value !== null && typeof value === "object") {
    return h("dl", { class: "tree" }, Object.entries(value).map(([name, one]) => h("div", {}, h("dt", {}, name), h("dd", {}, tree(one)))));
  }
  return h("span", {}, value === null ? "–" : String(value));
}

/** Return everything that is recorded of a decision. */
export function wholeDecision(one, back) {
  const parts = Object.entries(one.parts);
  return [
    h("p", {}, h("a", { href: back }, "← All decisions")),
    h("h1", {}, one.action, h("span", { class: "of" }, `by ${one.policy}`)),
    facts([["When", moment(one.at)], ["Episode", `${one.episode}, step ${one.step}`], ["Id", one.id],
      one.dollars !== null && ["Cost", `$${one.dollars}`],
      ["Outcome", one.outcome ? `${STATUS[one.outcome]}${one.reports > 1 ? `, reported ${one.reports} times` : ""}` : "none yet"],
      ["Reward", parts.length ? `${signed(one.reward)} = ${parts.map(([name, part]) => `${name} ${signed(part)}`).join(", ")}` : signed(one.reward)],
      one.detail && ["Detail", one.detail]]),
    notes(one),
    h("div", { class: "two" },
      h("section", {}, h("h2", {}, `What ${one.policy} answered`), bars(one.probabilities, one.action, "Probabilities")),
      one.other && h("section", {}, h("h2", {}, `What ${one.other.policy} answered`), bars(one.other.probabilities, one.other.action, "Probabilities of the other"))),
    Object.keys(one.argument).length > 0 && [h("h2", {}, "Argument"), tree(one.argument)],
    h("h2", {}, "State"), tree(one.state),
    Object.keys(one.result).length > 0 && [h("h2", {}, "Result"), tree(one.result)],
    h("details", {}, h("summary", {}, "The state as a teacher reads it"),
      h("pre", { tabindex: 0, role: "region", "aria-label": "The state as a teacher reads it" }, one.read)),
  ].flat(2).filter(Boolean);
}
