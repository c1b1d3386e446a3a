// A decision: in short, as an item of a list, and whole.

import { act, get } from "./api.js";
import { coded, count, empty, facts, h, link, moment, percent, signed } from "./dom.js";

const small = (share) => (share > 0 && share < 0.001 ? "<0.1%" : percent(share, share > 0 && share < 0.01 ? 1 : 0));

export function bars(shares, taken, label) {
  if (!shares.length) return h("p", { class: "quiet" }, "No probabilities were recorded.");
  return h("ul", { class: "bars", "aria-label": label },
    shares.map(({ action, share }) => h("li", { class: action === taken ? "taken" : null },
      h("span", { class: "name" }, action, action === taken && h("span", { class: "hidden" }, " (taken)")),
      h("span", { class: "rail", "aria-hidden": "true" }, h("span", { class: "fill", style: { width: percent(share, 1) } })),
      h("span", { class: "share" }, small(share)))));
}

const ASKED = { audit: "asked in an audit", canary: "asked in a canary", shadow: "asked silently", person: "corrected by hand" };
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
      other.reason === "person" ? `Corrected by hand: ${other.agrees ? "it was right" : `${other.action} was right`}`
        : `${other.policy}, ${ASKED[other.reason] ?? other.reason}, answered ${other.agrees ? "the same" : other.action}`),
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

/** Return a section that is filled when its data arrived. */
function later(title, load, draw) {
  const section = h("section", {}, h("h2", {}, title), h("p", { class: "quiet" }, "Loading…"));
  load().then((found) => section.replaceChildren(h("h2", {}, title), ...[draw(found)].flat(2).filter(Boolean)))
    .catch((error) => { if (error.name !== "AbortError") section.replaceChildren(h("h2", {}, title), h("p", { class: "caution" }, coded(error.message))); });
  return section;
}

function asRead(read) {
  if (!read) return empty("No HRM has read this state: none decides or proves itself here.");
  const cut = read.tokens - read.kept;
  return [h("p", {}, read.decided ? `${read.model} read this:` : `${read.model} would read this:`,
    ` ${count(read.kept)} of ${count(read.tokens)} tokens${cut > 0 ? `; ${count(cut)} were cut at each …` : ", nothing was cut"}.`,
    read.whole_beside && cut > 0 && " This is its HRM; the logistic regression beside it reads the state uncut."),
  read.left_out.length > 0 && h("p", {}, `Left out: ${read.left_out.join(", ")}`),
  Object.keys(read.renamed).length > 0 && h("p", {}, `Renamed: ${Object.entries(read.renamed).map(([path, name]) => `${path} to ${name}`).join(", ")}`),
  h("pre", { tabindex: 0, role: "region", "aria-label": "The state as the HRM reads it" }, read.text)];
}

function alike(found, point) {
  if (!found.decisions.length) return empty(found.compared ? "No decision in training shares words with this one." : "Nothing was trained on the decisions of this place yet.");
  return [h("p", { class: "quiet" }, `By the words of their states, among ${count(found.compared)} decisions in training, the newest ones.`),
    h("ol", { class: "decisions" }, found.decisions.map((one) => h("li", { class: "decision" },
      h("div", { class: "line" }, h("a", { class: "action", href: link("look", { point, id: one.id }) }, one.action),
        h("span", { class: "who" }, `${percent(one.resemblance)} alike`), moment(one.at)),
      h("p", { class: "state" }, one.state))))];
}

function relabelForm(one, { place, again }) {
  const select = h("select", {}, one.actions.map((name) => h("option", { value: name, selected: name === one.action }, name)));
  return h("form", { class: "filter", "aria-label": "Relabel", on: { submit: async (event) => {
    event.preventDefault();
    if (await act("relabel", { point: place.name, id: one.id, action: select.value })) again();
  } } }, h("label", {}, "The right action was", select), h("button", { class: "main" }, "Relabel"),
  h("p", { class: "quiet" }, "The next training learns from it. It stays in the record and can't be taken back."));
}

/** Return everything that is recorded of a decision. */
export function wholeDecision(one, back, context) {
  const { place, signal, readOnly } = context;
  const path = `decisions/${encodeURIComponent(one.id)}`;
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
      one.other && h("section", {}, h("h2", {}, one.other.reason === "person" ? "What a person said" : `What ${one.other.policy} answered`), bars(one.other.probabilities, one.other.action, "Probabilities of the other"))),
    one.can_relabel && !readOnly && [h("h2", {}, "Was it right?"), relabelForm(one, context)],
    later("What the HRM reads of the state", () => get(`${path}/read`, { point: place.name }, signal), asRead),
    Object.keys(one.argument).length > 0 && [h("h2", {}, "Argument"), tree(one.argument)],
    h("h2", {}, "State"), tree(one.state),
    Object.keys(one.result).length > 0 && [h("h2", {}, "Result"), tree(one.result)],
    later("The most alike in training", () => get(`${path}/like`, { point: place.name }, signal), (found) => alike(found, place.name)),
    h("details", {}, h("summary", {}, "The state as a teacher reads it"),
      h("pre", { tabindex: 0, role: "region", "aria-label": "The state as a teacher reads it" }, one.read)),
  ].flat(2).filter(Boolean);
}
