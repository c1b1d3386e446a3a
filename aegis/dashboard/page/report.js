// A report: every view of every place, one below the other.

import { get } from "./api.js";
import { allow } from "./allow.js";
import { h, moment } from "./dom.js";
import { inbox } from "./inbox.js";
import { knowledge } from "./knowledge.js";
import { learning } from "./learning.js";
import { models } from "./models.js";
import { now } from "./now.js";

const view = document.getElementById("view");
const OF_A_PLACE = [["now", now], ["learning", learning], ["models", models]];
const OF_THE_AGENT = [["inbox", inbox], ["knowledge", knowledge]];
const name = (key, place) => (place ? `${key}-${place.name || "agent"}` : key);

/** Draw a view. What leads to a view that the report has becomes a link within it; other links become text. */
async function section(key, draw, context) {
  const part = h("section", { class: "view", id: name(key, context.place) });
  view.append(part);
  part.append(...(await draw(context)).flat(Infinity).filter(Boolean));
  const title = part.querySelector("h1");
  if (context.place && !title.querySelector(".of")) title.append(h("span", { class: "of" }, context.place.title));
  for (const link of part.querySelectorAll("a[href^='#/']")) {
    const [path, query] = link.getAttribute("href").slice(2).split("?");
    const asked = new URLSearchParams(query);
    const place = context.status.places.find((one) => one.name === (asked.get("point") ?? ""));
    if (place && !asked.has("id") && OF_A_PLACE.some(([one]) => one === path)) link.setAttribute("href", `#${name(path, place)}`);
    else link.replaceWith(h("span", { class: link.className }, ...link.childNodes));
  }
}

const status = await get("status");
const drawing = new AbortController();
const context = { status, asked: {}, signal: drawing.signal, again: () => {}, readOnly: true, kept: true };
document.getElementById("about").append("A report of ", moment(status.at), `, by AEGIS ${status.version}`);
await section("allow", allow, context);
for (const place of status.places) {
  for (const [key, draw] of [...OF_A_PLACE, ...(place.can_pause ? OF_THE_AGENT : [])]) await section(key, draw, { ...context, place });
}
drawing.abort(); // no view looks for news
document.body.dataset.drawn = "true";
