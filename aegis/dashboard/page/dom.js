// Elements, made of text alone: nothing here, or anywhere else on the page, reads HTML from a string.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element. `attributes`: `on` has listeners by event, `style` properties; null and false are left out. */
export function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** Return an element of an SVG picture. */
export function s(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, hear] of Object.entries(value)) element.addEventListener(event, hear);
    else if (name === "style") for (const [property, set] of Object.entries(value)) element.style.setProperty(property, set);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const percent = (share, digits = 0) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(digits)}%`);
export const count = (number) => (number ?? 0).toLocaleString("en");
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
export function duration(seconds) {
  const [size, unit] = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]].find(([one]) => seconds >= 2 * one) ?? [1, "second"];
  return plural(Math.round(seconds / size), unit);
}
export const signed = (number) => (number === null || number === undefined ? "–" : `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(2)}`);

/** Return the address of a view. */
export function link(name, query) {
  const given = Object.entries(query).filter(([, value]) => value);
  return `#/${name}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

/** Return a moment as a <time> of the reader's own zone. */
export function moment(iso) {
  if (!iso) return h("span", {}, "–");
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  const words = today ? at.toLocaleTimeString() : at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  return h("time", { datetime: iso, title: at.toLocaleString() }, words);
}

/** Return pairs of a name and a value as a list of definitions. */
export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** Return words whose commands stand between backticks, as an array of texts and <code>. */
export function coded(words) {
  const parts = String(words ?? "").split("`");
  return parts.length % 2 ? parts.map((part, index) => (index % 2 ? h("code", {}, part) : part)) : [words];
}

export const empty = (...words) => h("p", { class: "empty" }, ...words);

/** Ask in a dialog; return the reason that was typed, or null. `needs`: whether a text must be typed. */
export function confirm({ title, words, caution, action, label, needs }) {
  const dialog = document.getElementById("ask");
  return new Promise((resolve) => {
    const text = h("textarea", { id: "ask-text", rows: 3, maxlength: 300, required: needs });
    const form = h("form", { method: "dialog", on: { submit: (event) => { event.preventDefault(); close(text.value.trim()); } } },
      h("h2", { id: "ask-title" }, title), words.map((one) => h("p", {}, one)),
      caution && h("p", { class: "caution" }, `⚠ ${caution}`),
      h("label", {}, label, text),
      h("div", { class: "buttons" }, h("button", { class: "main", type: "submit" }, action),
        h("button", { type: "button", on: { click: () => close(null) } }, "Cancel")));
    const close = (answer) => { dialog.close(); dialog.replaceChildren(); resolve(answer); };
    dialog.oncancel = (event) => { event.preventDefault(); close(null); };
    dialog.replaceChildren(form);
    dialog.showModal();
    text.focus();
  });
}
