// One entry of the journal: a line, and its details when unfolded.

import { make } from "./dom.js";

/** Returns the list item of a call or a delivery. */
export function entryItem(entry) {
  const summary = make(
    "summary",
    {},
    make("time", { dateTime: entry.time }, clock(entry.time)),
    make("span", { className: "chip" }, entry.direction === "call" ? "← call" : "→ delivery"),
    make("code", {}, `${entry.method} ${entry.path}`),
    outcomeChip(entry),
  );
  return make("li", {}, make("details", {}, summary, exchange(entry)));
}

function outcomeChip({ response_status: status, error }) {
  const rating = status === null || status >= 500 ? "bad" : status >= 300 ? "warn" : "good";
  return make("span", { className: `chip ${rating}`, title: error }, status === null ? error : String(status));
}

function exchange(entry) {
  const [caller, answerer] =
    entry.direction === "call" ? ["The partner sent", "The sandbox answered"] : ["The sandbox sent", "The partner answered"];
  return make(
    "div",
    { className: "exchange" },
    message(caller, entry.request_headers, entry.request_body),
    entry.response_status === null
      ? make("div", {}, make("h3", {}, "No response"), make("pre", {}, entry.error))
      : message(`${answerer} ${entry.response_status}`, entry.response_headers, entry.response_body),
  );
}

function message(title, headers, body) {
  const lines = headers.map(([name, value]) => `${name}: ${value}`).join("\n");
  return make(
    "div",
    {},
    make("h3", {}, title),
    make("pre", { className: "headers" }, lines),
    body ? make("pre", {}, indented(body)) : null,
  );
}

function indented(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

function clock(time) {
  return new Date(time).toLocaleTimeString("en-GB");
}
