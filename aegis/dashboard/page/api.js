// The server's answers, and what the page asks it to do.

import { coded } from "./dom.js";

const notice = () => document.getElementById("notice");

export function say(words, bad = false) {
  notice().replaceChildren(...coded(words));
  notice().classList.toggle("bad", bad);
}

async function answerOf(response) {
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  if (response.status === 401) throw new Error("This page's token is not valid any more: open the address that the command printed.");
  throw new Error(body.error?.message ?? `the server answered ${response.status}`);
}

export async function get(path, query = {}, signal = undefined) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  const search = new URLSearchParams(given).toString();
  return answerOf(await fetch(`/api/${path}${search ? `?${search}` : ""}`, { signal }));
}

/** Do something; say what was done, or why not. Return whether it was done. */
export async function act(path, body) {
  try {
    const headers = { "content-type": "application/json", "x-aegis-dashboard": "1" };
    const response = await fetch(`/api/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    say(`✓ ${(await answerOf(response)).done}`);
    return true;
  } catch (error) {
    say(error.message, true);
    return false;
  }
}

/** Hear of every new decision after a cursor, until `signal` ends it. */
export function follow(point, cursor, signal, hear) {
  const source = new EventSource(`/api/stream?${new URLSearchParams({ point, after: cursor })}`);
  source.addEventListener("decisions", (event) => hear(JSON.parse(event.data)));
  signal.addEventListener("abort", () => source.close());
}
