// "Models": every version with its verdict, and the owner's word on which one decides.

import { act, get } from "./api.js";
import { confirm, count, empty, facts, h, moment, percent } from "./dom.js";

function version(one, context) {
  const { figures } = one;
  const [low, high] = figures.interval ?? [];
  return h("li", { class: one.state === "serves" ? "card serves" : "card" },
    h("h3", {}, one.name, h("span", { class: `tag ${one.state === "serves" ? "ok" : one.state === "kept" ? "unknown" : "failed"}` }, one.state)),
    facts([
      one.base && ["Improved from", one.base],
      figures.accuracy !== undefined && ["Held-out accuracy", low === undefined ? percent(figures.accuracy, 1) : `${percent(figures.accuracy, 1)} (${percent(low, 1)} to ${percent(high, 1)})`],
      figures.calibration_error !== undefined && figures.calibration_error !== null && ["Calibration error", percent(figures.calibration_error, 1)],
      figures.decisions !== undefined && ["Learned from", `${count(figures.decisions)} decisions`],
      ["Made", moment(one.made_at)],
      one.gain && ["Gain", one.gain],
    ]),
    one.promoted_by && h("p", {}, `Promoted by ${one.promoted_by}: ${one.reason}`),
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
  const { place, signal, readOnly } = given;
  const found = await get("models", { point: place.name }, signal);
  const context = { ...given, served: found.serving ?? "the teacher" };
  const back = [...new Set([found.back_to, found.serving && "teacher"].filter(Boolean))];
  return [h("h1", {}, "Models"),
    h("p", { class: "lead" }, `${place.serving ?? "Nobody"} decides here.`, place.silent && ` ${place.silent} only answers silently (mode observe).`, found.monitor && ` Monitor: ${found.monitor}.`),
    !readOnly && back.length > 0 && h("div", { class: "buttons" }, back.map((to) =>
      h("button", { class: "danger", on: { click: () => rollBack(to, context) } }, `Roll back to ${to === "teacher" ? "the teacher" : to}`))),
    h("h2", {}, "Versions"),
    found.versions.length ? h("ul", { class: "cards plain" }, found.versions.map((one) => version(one, context))) : empty("No HRM was kept yet. One that passes the gate appears here."),
    found.refused.length > 0 && [h("h2", {}, "Refused by the gate"), h("ul", { class: "plain" }, found.refused.map((one) =>
      h("li", { class: "card" }, h("h3", {}, `Training ${one.training}`), h("p", { class: "quiet" }, moment(one.at), ` on ${count(one.decisions)} decisions`),
        h("ul", { class: "rules" }, one.rules.map((rule) => h("li", {}, rule))))))],
  ].flat().filter(Boolean);
}
