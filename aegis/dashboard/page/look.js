// "Look into it": decisions by filter, and one decision whole.

import { get, say } from "./api.js";
import { decisionItem, wholeDecision } from "./decision.js";
import { empty, h, link } from "./dom.js";

const NOTHING = "No decision passes this filter.";
const REACH = (percent) => `The search knows ${percent}% of the states so far, the newest ones. It reads the others; "Older" looks through them, too.`;
const ARCHIVED = (number) => `Of the oldest decisions ${number.toLocaleString("en")} are archived: they are listed like all others, and their states are read from the files in archive/.`;
const KEYS = ["action", "policy", "deferred", "why", "drifted", "wrong", "text", "since", "until"];

function filterForm(asked, choices, place) {
  const select = (name, label, values) => h("label", {}, label, h("select", { name },
    h("option", { value: "" }, "any"), values.map((one) => h("option", { value: one, selected: one === asked[name] }, one))));
  const because = h("label", {}, "Deferred because", h("select", { name: "why" },
    [["", "any reason"], ["unsure", "the HRM was not sure"], ["unlike", "the state was unlike training"]]
      .map(([value, words]) => h("option", { value, selected: value === (asked.why ?? "") }, words))));
  const box = (name, label) => h("label", { class: "box" }, h("input", { type: "checkbox", name, value: "true", checked: asked[name] === "true" }), label);
  const time = (name, label) => h("label", {}, label, h("input", { type: "datetime-local", name, step: 1, value: asked[name] ?? "" }));
  const form = h("form", { class: "filter", "aria-label": "Filter", on: { submit: (event) => {
    event.preventDefault();
    location.hash = link("look", { point: place.name, ...Object.fromEntries(new FormData(form)) });
  } } },
  h("label", {}, "Words", h("input", { name: "text", type: "search", maxlength: 200, value: asked.text ?? "" })),
  select("action", "Action", choices.actions), select("policy", "Decided by", choices.policies),
  time("since", "From"), time("until", "To"),
  because, box("deferred", "deferred to the teacher"), box("drifted", "unlike training"), box("wrong", "the two answers differ"),
  h("button", { class: "main" }, "Show"), h("a", { href: link("look", { point: place.name }) }, "Clear"));
  return form;
}

async function list({ place, asked, signal }) {
  const local = (text) => (text ? new Date(text).toISOString() : "");
  const query = { ...Object.fromEntries(KEYS.map((key) => [key, asked[key]])), since: local(asked.since), until: local(asked.until), point: place.name };
  const first = await get("decisions", query, signal);
  const items = h("ol", { class: "decisions", "aria-label": "Decisions" });
  const more = h("button", { on: { click: () => older() } }, "Older");
  const nothing = empty(NOTHING);
  const archived = first.archived ? h("p", { class: "quiet" }, ARCHIVED(first.archived)) : "";
  const reach = h("p", { class: "quiet" });
  let { before } = first;
  const add = (page) => {
    items.append(...page.decisions.map((one) => decisionItem(one, link("look", { point: place.name, id: one.id }))));
    before = page.before;
    reach.hidden = page.reading === null;
    reach.textContent = page.reading === null ? "" : REACH(Math.floor(100 * page.reading));
    more.hidden = before === null;
    nothing.hidden = items.children.length > 0;
  };
  async function older() {
    more.disabled = true;
    try {
      const shown = items.children.length;
      while (before !== null && items.children.length === shown) { // a page that found nothing in its second
        nothing.textContent = "Looking further back…";
        add(await get("decisions", { ...query, before }, signal));
      }
      nothing.textContent = NOTHING;
    } catch (error) {
      if (error.name !== "AbortError") say(error.message, true);
    }
    more.disabled = false;
  }
  add(first);
  if (!items.children.length && before !== null) older();
  return [h("h1", {}, "Look into it"), filterForm(asked, first, place), archived, reach, nothing, items, more];
}

export async function look(context) {
  const { place, asked, signal } = context;
  if (!asked.id) return list(context);
  const one = await get(`decisions/${encodeURIComponent(asked.id)}`, { point: place.name }, signal);
  return wholeDecision(one, link("look", { point: place.name }), context);
}
