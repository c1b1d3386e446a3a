// "Knowledge": what the research agent knows, by search; its sources, goals and gaps.

import { get } from "./api.js";
import { count, empty, facts, h, link, moment, plural } from "./dom.js";

const item = (one) => h("li", { class: "decision" },
  h("div", { class: "line" }, h("strong", {}, one.title), h("span", { class: "who" }, one.topic), moment(one.found_at)),
  h("p", {}, one.text), h("p", { class: "quiet" }, one.source));

const goal = (one) => h("li", { class: "card" }, h("h3", {}, one.title, h("span", { class: `tag ${one.status === "reached" ? "ok" : one.status === "active" ? "unknown" : "failed"}` }, one.status)),
  h("p", { class: "quiet" }, `${one.kind}, begun `, moment(one.created_at)),
  h("p", {}, `${plural(one.closed, "question")} answered, ${count(one.open)} open, ${count(one.abandoned)} given up`));

export async function knowledge({ place, asked, signal, kept }) {
  const title = h("h1", {}, "Knowledge");
  if (!place.can_pause) return [title, empty("Only the research agent keeps knowledge: a decision point has none.")];
  const query = asked.query ?? "", source = asked.source ?? "";
  const found = await get("knowledge", { point: place.name, query, source }, signal);
  const words = h("input", { name: "query", type: "search", maxlength: 200, value: query });
  const form = h("form", { class: "filter", role: "search", "aria-label": "Knowledge", on: { submit: (event) => {
    event.preventDefault();
    location.hash = link("knowledge", { point: place.name, query: words.value.trim(), source });
  } } }, h("label", {}, "Search", words), h("button", { class: "main" }, "Search"), (query || source) && h("a", { href: link("knowledge", { point: place.name }) }, "Clear"));
  const origin = (one) => (kept ? one.kind : h("a", { href: link("knowledge", { point: place.name, query, source: one.kind }), "aria-current": one.kind === source ? "true" : null }, one.kind));
  const from = source ? ` from ${source}` : "";
  const nothing = source && !query ? "It has no item from this source." : query ? "No item has these words." : "The agent has learned nothing yet: its searches and your answers appear here.";
  return [title,
    facts([["Items", count(found.count)], ["Open questions", count(found.open_questions)], ["Open gaps", count(found.open_gaps)]]), !kept && form,
    h("h2", {}, query ? `What it knows of “${query}”${from}` : `What it learned last${from}`),
    found.items.length ? h("ol", { class: "decisions", "aria-label": "Items" }, found.items.map(item)) : empty(nothing),
    h("h2", {}, source ? `Sources: ${source.split(":")[0]}` : "Sources"),
    source && h("p", {}, h("a", { href: link("knowledge", { point: place.name, query }) }, "All sources")),
    found.sources.length ? h("ul", {}, found.sources.map((one) => h("li", {}, origin(one), `: ${plural(one.items, "item")}`))) : empty("No source yet."),
    h("h2", {}, "Goals"),
    found.goals.length ? h("ul", { class: "cards plain" }, found.goals.map(goal)) : empty("No goal was taken up yet."),
    h("h2", {}, "Gaps"),
    found.gaps.length ? [h("p", { class: "quiet" }, "Terms that it met while it read, does not know, and has not asked about. The newest first."),
      h("ul", {}, found.gaps.map((one) => h("li", {}, h("strong", {}, one.term), h("span", { class: "quiet" }, ` in ${one.met_in} (${one.topic})`))))] : empty("It has no open gap."),
  ].flat().filter(Boolean);
}
