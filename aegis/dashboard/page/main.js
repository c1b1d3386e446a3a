// Which view of which place is shown: `#/VIEW?point=NAME` is its address.

import { get, say } from "./api.js";
import { coded, h, link } from "./dom.js";
import { inbox } from "./inbox.js";
import { knowledge } from "./knowledge.js";
import { learning } from "./learning.js";
import { allow } from "./allow.js";
import { look } from "./look.js";
import { models } from "./models.js";
import { now } from "./now.js";

const VIEWS = {
  allow: ["Can I let it?", allow],
  now: ["Now", now],
  look: ["Look into it", look],
  learning: ["Learning", learning],
  inbox: ["Inbox", inbox],
  knowledge: ["Knowledge", knowledge],
  models: ["Models", models],
};
const view = document.getElementById("view");
const choice = document.getElementById("place");
let shown = new AbortController();

function address() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const asked = Object.fromEntries(new URLSearchParams(query ?? ""));
  return { name: Object.hasOwn(VIEWS, path) ? path : "allow", asked };
}

function drawHead(places, name, point) {
  document.getElementById("nav").replaceChildren(
    ...Object.entries(VIEWS).map(([key, [title]]) => {
      const waiting = key === "inbox" ? places.find((one) => one.name === point)?.waiting?.length : 0;
      return h("li", {}, h("a", { href: link(key, { point }), "aria-current": key === name ? "page" : null }, title,
        waiting ? h("span", { class: "badge" }, String(waiting), h("span", { class: "hidden" }, " waiting")) : null));
    }));
  choice.replaceChildren(...places.map((one) => h("option", { value: one.name, selected: one.name === point }, one.title)));
  choice.parentElement.hidden = places.length < 2;
}

async function show(moved) {
  shown.abort();
  shown = new AbortController();
  const { signal } = shown;
  const { name, asked } = address();
  try {
    const status = await get("status", {}, signal);
    const place = status.places.find((one) => one.name === (asked.point ?? "")) ?? status.places[0];
    document.title = `${VIEWS[name][0]} · ${place.title} · AEGIS`;
    drawHead(status.places, name, place.name);
    const context = { status, place, asked, signal, again: () => show(false), readOnly: status.read_only };
    const drawn = await VIEWS[name][1](context);
    if (signal.aborted) return;
    view.replaceChildren(...drawn);
    if (moved) {
      say("");
      view.focus({ preventScroll: true });
      scrollTo(0, 0);
    } else if (document.activeElement === document.body) {
      view.focus({ preventScroll: true }); // what had the focus was drawn anew
    }
  } catch (error) {
    if (error.name === "AbortError") return;
    view.replaceChildren(h("p", { class: "caution" }, coded(error.message)));
  }
}

choice.addEventListener("change", () => {
  const { name } = address();
  location.hash = link(name, { point: choice.value });
});
let width = innerWidth;
let later;
addEventListener("resize", () => {
  if (innerWidth === width) return; // a telephone's address bar came or went
  width = innerWidth;
  clearTimeout(later);
  later = setTimeout(() => show(false), 200);
});
addEventListener("hashchange", () => show(true));
show(true);
