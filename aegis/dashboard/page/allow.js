// "Can I let it?": what each HRM could decide at the promised agreement, against what it does decide.

import { coded, count, duration, facts, h, link, percent } from "./dom.js";
import { track } from "./now.js";

const ORDER = ["yes", "maybe", "no"];

function answer({ savings: { hrm, base, share, lower, agreement, target } }) {
  if (hrm === null) return ["no", "Not yet", "No HRM has passed the gate."];
  if (base) return ["no", "Not proven", `${hrm} was improved from ${base} by rewards: no held-out decision certifies its agreement.`];
  if (share === null || lower === null) return ["no", "Not yet", "Nothing is proven at the promised agreement."];
  const proven = `It agrees with the teacher in ${percent(agreement)} of them (at least ${percent(Math.floor(100 * lower) / 100)} at 95% confidence).`;
  if (lower >= target) return ["yes", `Yes: ${percent(share)} of its decisions`, proven];
  return ["maybe", `Perhaps: ${percent(share)} of its decisions`, `${proven} The promise is ${percent(target)}.`];
}

function meter(label, share, kind) {
  return h("div", { class: "meter" }, h("span", { class: "what" }, label), h("span", { class: "how" }, percent(share)),
    h("span", { class: "rail", "aria-hidden": "true" }, h("span", { class: `fill ${kind}`, style: { width: percent(share ?? 0, 1) } })));
}

function card(place) {
  const { savings } = place;
  const [kind, title, why] = answer(place);
  const does = place.decisions ? savings.made / place.decisions : null;
  return h("section", { class: "card", "aria-label": place.title },
    h("h2", {}, h("a", { href: link("now", { point: place.name }) }, place.title)),
    h("p", { class: `answer ${kind}` }, title),
    h("p", {}, why),
    meter(`It could decide, at ${percent(savings.target)} agreement`, savings.share, "could"),
    meter("It has decided", does, "does"),
    facts([
      ["Calls that it could spare so far", savings.hrm === null ? "–" : count(savings.calls)],
      ["Calls that it made itself", count(savings.made)],
      ["Money", savings.dollars === null ? "no price is known" : `$${savings.dollars.toLocaleString("en", { maximumFractionDigits: 2 })}`],
      ["Time", savings.seconds === null ? "no call's time is known" : duration(savings.seconds)],
      ["Counted on", savings.decisions ? `${count(savings.decisions)} ${savings.live ? "silent answers" : "held-out decisions"}` : "nothing yet"],
      savings.confidence !== null && ["Sure enough from a confidence of", percent(savings.confidence, 1)],
      ["Decides now", place.serving ?? "nobody yet"],
    ]),
    h("p", { class: "next" }, h("strong", {}, "Until the next step: "), coded(place.next_milestone)),
    track(place));
}

export async function allow({ status }) {
  return [h("h1", {}, "Can I let it?"),
    h("p", { class: "lead" }, "How much of each decision point the small model could take over, and what is missing until then."),
    h("div", { class: "cards" }, ORDER.flatMap((kind) => status.places.filter((one) => answer(one)[0] === kind)).map(card))];
}
