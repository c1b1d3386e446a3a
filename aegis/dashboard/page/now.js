// "Now": the phase, and the last decisions as they happen.

import { act, follow, get, say } from "./api.js";
import { decisionItem } from "./decision.js";
import { coded, count, empty, facts, h, link, percent, signed } from "./dom.js";

const STATIONS = ["Data collection", "HRM training", "Switch", "RL fine-tuning"];
const MOST_SHOWN = 30;
const STATUS_EVERY = 5000;

export function track(place) {
  return h("ol", { class: "track", "aria-label": "Phase" },
    STATIONS.map((name, index) => {
      const number = index + 1;
      const state = number < place.phase ? "done" : number === place.phase ? "here" : "ahead";
      return h("li", { class: state, "aria-current": state === "here" ? "step" : null },
        h("span", { class: "dot", "aria-hidden": "true" }, state === "done" ? "✓" : String(number)), h("span", {}, name));
    }));
}

/** Return what pauses the agent and lets it go on; for a decision point, why nothing can be paused. */
function pausing(place, { again, readOnly }) {
  if (!place.can_pause) return h("p", { class: "quiet" }, "Its own program decides when it asks: nothing can be paused here.");
  const set = async (paused) => { if (await act("pause", { point: place.name, paused })) again(); };
  const waits = place.running ? "" : " No agent runs at the moment: one that is started waits, too.";
  return [place.paused && h("p", { class: "caution" }, `Paused by ${place.paused}. It makes no decision until it is resumed.${waits}`),
    !readOnly && h("div", { class: "buttons" }, place.paused
      ? h("button", { class: "main", on: { click: () => set(false) } }, "Resume the agent")
      : h("button", { on: { click: () => set(true) } }, "Pause the agent"))];
}

function head(place) {
  const { training } = place;
  const collected = place.target ? Math.min(1, place.collected / place.target) : 1;
  return [track(place),
    h("p", { class: "phase" }, coded(place.phase_words)),
    facts([
      ["Decides", place.serving ?? "nobody yet"],
      [place.name ? "Its process" : "Agent", place.running ? `running: ${place.doing || "busy"}` : "not running"],
      ["Decisions", `${count(place.decisions)}, ${count(place.hrm_decisions)} by the HRM`],
      ["Teacher's examples", place.learned_from_file && !place.collected && place.using_hrm
        ? `none here; the training had ${count(place.learned_from_file)}, of a file`
        : `${count(place.collected)} of ${count(place.target)} (${percent(collected)})`],
      training && ["Training", `${training.number} (${training.status}), epoch ${training.epoch} of ${training.epochs}`],
      place.mean_reward !== null && ["Mean reward of the HRM", signed(place.mean_reward)],
    ]),
    h("p", {}, h("strong", {}, "Next: "), coded(place.next_milestone)),
    place.needs && h("p", { class: "caution" }, coded(place.needs)),
    place.trial && h("p", {}, coded(place.trial))].filter(Boolean);
}

export async function now(context) {
  const { place, status, signal } = context;
  const first = await get("decisions", { point: place.name }, signal);
  const list = h("ol", { class: "decisions", "aria-label": "Last decisions" });
  const top = h("div", {}, head(place));
  const hold = h("div", {}, pausing(place, context));
  const nothing = empty("No decision is recorded yet. Each one appears here as it is made.");
  const item = (one) => decisionItem(one, link("look", { point: place.name, id: one.id }));
  list.append(...first.decisions.slice(0, MOST_SHOWN).map(item));
  nothing.hidden = list.children.length > 0;
  follow(place.name, first.cursor, signal, (found) => {
    for (const one of found.slice(-MOST_SHOWN)) {
      const drawn = item(one);
      const before = [...list.children].find((child) => child.dataset.place === String(one.place));
      if (before) before.replaceWith(drawn);
      else if (Number(list.firstElementChild?.dataset.place ?? 0) < one.place) list.prepend(drawn);
    }
    while (list.children.length > MOST_SHOWN) list.lastElementChild.remove();
    nothing.hidden = true;
  });
  const timer = setInterval(async () => {
    if (document.hidden) return;
    try {
      const fresh = await get("status", {}, signal);
      const found = fresh.places.find((one) => one.name === place.name) ?? place;
      top.replaceChildren(...head(found));
      if (found.paused !== place.paused && !hold.contains(document.activeElement)) context.again();
    } catch (error) {
      if (error.name !== "AbortError") say(error.message, true);
    }
  }, STATUS_EVERY);
  signal.addEventListener("abort", () => clearInterval(timer));
  return [h("h1", {}, "Now", status.places.length > 1 && h("span", { class: "of" }, place.title)), top, hold,
    h("h2", {}, "Last decisions"), nothing, list];
}
