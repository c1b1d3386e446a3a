// "Models": every version with its verdict, and the owner's word on which one decides.

import { act, get } from "./api.js";
import { coded, confirm, count, empty, facts, h, link, moment, percent } from "./dom.js";

function version(one, context) {
  const { figures } = one;
  const [low, high] = figures.interval ?? [];
  return h("li", { class: one.state === "serves" ? "card serves" : "card" },
    h("h3", {}, one.name, h("span", { class: `tag ${one.state === "serves" ? "ok" : one.state === "kept" ? "unknown" : "failed"}` }, one.state)),
    facts([
      ["Kind", one.kind],
      one.base && ["Improved from", one.base],
      figures.accuracy !== undefined && ["Held-out accuracy", low === undefined ? percent(figures.accuracy, 1) : `${percent(figures.accuracy, 1)} (${percent(low, 1)} to ${percent(high, 1)})`],
      figures.calibration_error !== undefined && figures.calibration_error !== null && ["Calibration error", percent(figures.calibration_error, 1)],
      figures.decisions !== undefined && ["Learned from", `${count(figures.decisions)} decisions`],
      ["Made", moment(one.made_at)],
      one.gain && ["Gain", one.gain],
    ]),
    one.promoted_by && h("p", {}, `Promoted by ${one.promoted_by}: `, coded(one.reason)),
    one.caution && h("p", { class: "caution" }, `⚠ ${one.caution}`),
    one.state !== "serves" && !context.readOnly && h("button", { on: { click: () => promote(one, context) } }, `Let ${one.name} decide`));
}

async function promote(one, { place, again, served }) {
  const reason = await confirm({
    title: `Let ${one.name} decide?`, action: `Let ${one.name} decide`, label: "Why (kept in the record)", needs: true, caution: one.caution,
    words: [`From its next decision on, ${one.name} decides in place of ${served}.`, "The monitor watches it and rolls it back when it slips. You can roll back at any time."],
  });
  if (reason !== null && (await act("promote", { point: place.name, to: one.name, reason }))) again();
}

function comparison(found, point) {
  if (!found.common) return empty("No decision was held out from both. Two trainings on the same split share theirs.");
  const row = (one) => h("tr", {}, h("td", {}, h("a", { href: link("look", { point, id: one.id }) }, one.state || one.id)), h("td", {}, one.teacher),
    ["one", "other"].map((name) => h("td", { class: one[name].right ? "right" : "wrong" }, `${one[name].right ? "✓" : "✗"} ${one[name].action} (${percent(one[name].share)})`)));
  return h("div", {},
    facts([["Held out from both", count(found.common)], [`${found.one} agrees`, percent(found.agreements.one / found.common, 1)],
      [`${found.other} agrees`, percent(found.agreements.other / found.common, 1)], ["They differ in", count(found.differing)],
      [`Only ${found.one} is right`, count(found.only_one)], [`Only ${found.other} is right`, count(found.only_other)]]),
    found.examples.length ? h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Decisions that they answer differently" },
      h("table", { class: "matrix examples" },
        h("caption", {}, found.differing > found.examples.length ? `The newest ${found.examples.length} of them` : "Each of them"),
        h("thead", {}, h("tr", {}, ["State", "Teacher", found.one, found.other].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, found.examples.map(row)))) : empty("They answer every one alike."));
}

/** Return the form that compares two versions, and what it found. */
function comparing(versions, { place, signal, kept }) {
  const names = versions.filter((one) => !one.base).map((one) => one.name);
  if (names.length < 2 || kept) return empty("Two versions that were trained here can be compared, once there are two with held-out answers.");
  const select = (label, chosen) => h("label", {}, label, h("select", {}, names.map((name) => h("option", { value: name, selected: name === chosen }, name))));
  const [one, other] = [select("Version", names[0]), select("Against", names[1])];
  const found = h("div", { role: "status" });
  return h("div", {}, h("form", { class: "filter", "aria-label": "Compare", on: { submit: async (event) => {
    event.preventDefault();
    try {
      const query = { one: one.querySelector("select").value, other: other.querySelector("select").value, point: place.name };
      found.replaceChildren(comparison(await get("compare", query, signal), place.name));
    } catch (error) {
      if (error.name !== "AbortError") found.replaceChildren(h("p", { class: "caution" }, coded(error.message)));
    }
  } } }, one, other, h("button", { class: "main" }, "Compare")), found);
}

async function rollBack(to, { place, again, served }) {
  const who = to === "teacher" ? "the teacher" : to;
  const reason = await confirm({
    title: `Roll back to ${who}?`, action: `Roll back to ${who}`, label: "Why (kept in the record)", needs: true,
    words: [`From its next decision on, ${who} decides in place of ${served}.`, `${served} is kept. The gate waits for further decisions before it promotes again.`,
      to === "teacher" ? "Each decision costs a call of the teacher again." : ""].filter(Boolean),
  });
  if (reason !== null && (await act("rollback", { point: place.name, to, reason }))) again();
}

export async function models(given) {
  const { place, signal, readOnly, kept } = given;
  const found = await get("models", { point: place.name }, signal);
  const compared = kept && (await get("compare", { point: place.name }));
  const context = { ...given, served: found.serving ?? "the teacher" };
  const back = [...new Set([found.back_to, found.serving && "teacher"].filter(Boolean))];
  return [h("h1", {}, "Models"),
    h("p", { class: "lead" }, `${place.serving ?? "Nobody"} decides here.`, place.silent && ` ${place.silent} only answers silently (mode observe).`, found.monitor && ` Monitor: ${found.monitor}.`),
    !readOnly && back.length > 0 && h("div", { class: "buttons" }, back.map((to) =>
      h("button", { class: "danger", on: { click: () => rollBack(to, context) } }, `Roll back to ${to === "teacher" ? "the teacher" : to}`))),
    h("h2", {}, "Versions"),
    found.versions.length ? h("ul", { class: "cards plain" }, found.versions.map((one) => version(one, context))) : empty("No HRM was kept yet. One that passes the gate appears here."),
    h("h2", {}, "Compare two versions"), compared ? comparison(compared, place.name) : comparing(found.versions, context),
    found.refused.length > 0 && [h("h2", {}, "Refused by the gate"), h("ul", { class: "plain" }, found.refused.map((one) =>
      h("li", { class: "card" }, h("h3", {}, `Training ${one.training}`), h("p", { class: "quiet" }, moment(one.at), ` on ${count(one.decisions)} decisions`),
        h("ul", { class: "rules" }, one.rules.map((rule) => h("li", {}, coded(rule)))))))],
  ].flat().filter(Boolean);
}
