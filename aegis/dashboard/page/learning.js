// "Learning": trainings by epoch, what the HRM confuses, and switches and roll-backs in time.

import { get } from "./api.js";
import { coverageChart, lineChart, matrix, reliability, timeline } from "./chart.js";
import { coded, count, empty, facts, h, link, moment, percent } from "./dom.js";

const ROWS = [["training", "training"], ["shadowed", "shadow"], ["canary", "canary"], ["promoted", "promoted"],
  ["warned", "warning"], ["rolled_back", "rolled back"], ["refused", "refused"]];
const known = (epochs, name) => epochs.filter((one) => one[name] !== null).map((one) => [one.epoch, one[name]]);

function training(one) {
  const last = one.epochs.at(-1);
  const [low, high] = one.interval ?? [];
  const shares = (y) => percent(y);
  return h("section", { class: "card" },
    h("h3", {}, `Training ${one.number}`, h("span", { class: `tag ${one.status === "switched" ? "ok" : one.status === "running" ? "unknown" : "failed"}` }, one.status)),
    h("p", { class: "quiet" }, `On ${count(one.decisions)} decisions, begun `, moment(one.began), one.ended && [", ended ", moment(one.ended)], one.clock_set_back && " (the clock was set back meanwhile)"),
    one.accuracy !== null && h("p", {}, `Held-out accuracy ${percent(one.accuracy, 1)}`, low !== undefined && ` (95% interval ${percent(low, 1)} to ${percent(high, 1)})`, one.heldout && `, on ${count(one.heldout)} decisions`, "."),
    last ? h("div", { class: "charts" },
      lineChart({
        label: `Accuracy by epoch; the last held-out accuracy is ${percent(last.heldout_accuracy, 1)}`, xLabel: "epoch", low: 0, high: 1, write: shares,
        lines: one.gate ? [{ y: one.gate.at, label: one.gate.words }] : [],
        whisker: low === undefined ? null : { x: last.epoch, low, high, label: "95% interval" },
        series: [{ name: "training", kind: "second", points: known(one.epochs, "train_accuracy") }, { name: "held-out", kind: "first", points: known(one.epochs, "heldout_accuracy") }].filter((line) => line.points.length),
      }),
      lineChart({ label: `Loss by epoch; the last is ${last.loss}`, xLabel: "epoch", series: [{ name: "loss", kind: "third", points: known(one.epochs, "loss") }] }))
      : empty("Its first epoch is not over yet."),
    one.rules.length > 0 && h("ul", { class: "rules" }, one.rules.map((rule) => h("li", {}, coded(rule)))));
}

function example(one, point) {
  return h("li", {}, h("a", { href: link("look", { point, id: one.id }) }, one.state || one.id), h("span", { class: "quiet" }, ` it was ${percent(one.share)} sure`));
}

function confusion(found, point) {
  if (!found) return [empty("What an HRM confuses appears once one passed the gate.")];
  return [h("p", {}, `${found.model} on ${count(found.decisions)} held-out decisions.`, found.left_out > 0 && ` The ${found.actions.length} commonest of ${found.actions.length + found.left_out} actions are shown.`),
    matrix(found),
    found.pairs.length ? h("ul", {}, found.pairs.map((one) => h("li", {}, h("strong", {}, one.teacher), " taken for ", h("strong", {}, one.hrm), `: ${one.count} of ${one.of}`,
      one.examples.length > 0 && h("ul", {}, one.examples.map((each) => example(each, point))))))
      : h("p", {}, "It confused nothing there.")];
}

function calibration(found) {
  if (!found) return [empty("How well its confidence is calibrated appears once an HRM passed the gate.")];
  const words = `On its held-out decisions ${found.model}'s confidence is off by ${percent(found.error, 1)} on average. On the dashed line it is right as often as it is sure.`;
  return [h("p", {}, words), reliability(found.bins, words)];
}

function coverage(found) {
  if (!found) return [empty("How much it could decide at which agreement appears once an HRM passed the gate.")];
  const words = `On ${count(found.decisions)} held-out decisions: the surer ${found.model} must be, the fewer it decides, and the more often it agrees with the teacher.`;
  return [h("p", {}, words), coverageChart(found, words)];
}

function watch(found) {
  if (!found) return [empty("The watch begins with the first audit of an HRM that serves.")];
  const [low, high] = found.interval;
  return [facts([["Watched", found.model], ["Audited", count(found.audits)], ["Agreed", `${count(found.agreed)} (${percent(found.agreement, 1)})`],
    ["Anytime-valid interval", `${percent(low, 1)} to ${percent(high, 1)}`], ["Promised at least", percent(found.promised, 1)],
    ["Evidence of a fall", `${found.evidence.toPrecision(2)} of ${found.evidence_needed.toPrecision(2)} needed`], ["Audited share", percent(found.audit_rate, 1)], ["Says", found.level]])];
}

export async function learning({ place, signal }) {
  const found = await get("learning", { point: place.name }, signal);
  const events = [...found.events, ...found.trainings.filter((one) => one.ended).map((one) => ({ at: one.ended, kind: "training", words: `training ${one.number} ended: ${one.status}`, who: "", reason: "" }))]
    .sort((one, other) => (one.at < other.at ? -1 : 1));
  const rows = ROWS.filter(([kind]) => events.some((one) => one.kind === kind));
  const updates = found.updates.map((one, index) => ({ x: index + 1, ...one })).filter((one) => one.mean_reward !== null);
  const rewards = updates.map((one) => [one.x, one.mean_reward]);
  const intervals = updates.filter((one) => one.low !== null);
  return [h("h1", {}, "Learning"),
    h("h2", {}, "Trainings"),
    ...(found.trainings.length ? found.trainings.toReversed().map(training) : [empty("No training has begun here yet.")]),
    h("h2", {}, "What it confuses"), ...confusion(found.confusion, place.name),
    h("h2", {}, "Is it as sure as it is right?"), ...calibration(found.calibration),
    h("h2", {}, "How much of it, at which agreement?"), ...coverage(found.coverage),
    h("h2", {}, "The watch"), ...watch(found.watch),
    h("h2", {}, "Rewards, switches and roll-backs"),
    found.rewards.length > 0 && !events.length && timeline([], [], "Mean reward over time", found.rewards),
    ...(events.length ? [timeline(events, rows, `${events.length} events on a time axis${found.rewards.length ? ", with the mean reward above" : ""}; the list below has them all`, found.rewards),
      h("ol", { class: "events" }, events.toReversed().map((one) => h("li", {}, moment(one.at), " ", h("strong", {}, one.words), one.who && ` by ${one.who}`, one.reason && [": ", coded(one.reason)])))]
      : [empty("Nothing was switched yet.")]),
    ...(rewards.length > 1 ? [h("h2", {}, "Rewards in phase 4"), lineChart({ label: `Mean reward by update${intervals.length ? ", with its 95% interval by episode" : ""}`, xLabel: "update",
      band: intervals.length ? { label: "95% interval, by episode", points: intervals.map((one) => [one.x, one.low, one.high]) } : null, series: [{ name: "mean reward", kind: "first", points: rewards }] })] : [])].filter(Boolean);
}
