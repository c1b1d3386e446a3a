// "Inbox": what the research agent asks of its person.

import { act, get } from "./api.js";
import { empty, h, moment } from "./dom.js";

function question(one, { place, again, readOnly }) {
  const text = h("textarea", { rows: 2, maxlength: 2000, required: true });
  const form = h("form", { on: { submit: async (event) => {
    event.preventDefault();
    if (await act("answer", { point: place.name, number: one.number, text: text.value })) again();
  } } }, h("label", {}, "Your answer", text), h("button", { class: "main" }, "Answer"));
  return h("li", { class: "card" }, h("h3", {}, one.text), h("p", { class: "quiet" }, `Question ${one.number}, waits until `, moment(one.due_at)), !readOnly && form);
}

function proposal(one, { place, again, readOnly }) {
  const note = h("input", { maxlength: 300 });
  const settle = async (approved) => {
    if (await act("settle", { point: place.name, number: one.number, approved, note: note.value })) again();
  };
  return h("li", { class: "card" }, h("h3", {}, one.words), h("p", {}, `Because ${one.reason}`),
    h("p", { class: "quiet" }, `Proposal ${one.number}, lapses at `, moment(one.due_at)),
    !readOnly && h("form", { on: { submit: (event) => { event.preventDefault(); } } }, h("label", {}, "Note for the record (optional)", note),
      h("div", { class: "buttons" },
        h("button", { class: "main", type: "button", on: { click: () => settle(true) } }, "Approve"),
        h("button", { type: "button", on: { click: () => settle(false) } }, "Reject"))));
}

export async function inbox(context) {
  const { place, signal } = context;
  const waiting = await get("inbox", { point: place.name }, signal);
  const part = (title, items, draw, nothing) => [h("h2", {}, title),
    items.length ? h("ul", { class: "cards plain" }, items.map((one) => draw(one, context))) : empty(nothing)];
  return [h("h1", {}, "Inbox"),
    place.name ? h("p", { class: "lead" }, "Only the research agent asks and proposes: a decision point's inbox stays empty.") : "",
    ...part("Questions", waiting.questions, question, "No question waits for you."),
    ...part("Proposals", waiting.proposals, proposal, "No proposal waits for you."),
    ...(waiting.approved.length ? [h("h2", {}, "Approved lately"), h("ul", {}, waiting.approved.map((one) =>
      h("li", {}, one.words, one.effect && ` (${one.effect})`, one.note && `: ${one.note}`)))] : [])];
}
