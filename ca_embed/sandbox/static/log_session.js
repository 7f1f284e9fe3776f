// One session of the log page: a line, and unfolded its facts and the strings to pull.

import { button, make } from "./dom.js";

const folded = new Map(); // registration id -> what the person last did; drawn again, it stays so

/** Makes the list item of a session; `act(id, action)` does what a button says. */
export function sessionItem(session, act) {
  const id = session.registration_id;
  const details = make("details", { open: folded.get(id) ?? false }, line(session), content(session, act));
  details.addEventListener("toggle", () => folded.set(id, details.open));
  return make("li", {}, details);
}

function line(session) {
  const worth = { completed: "good", expired: "warn" }[session.status] ?? "";
  return make(
    "summary",
    {},
    make("code", {}, session.registration_id),
    make("span", { className: `chip ${worth}` }, session.status),
    make("span", { className: "who" }, session.partner_user_id ?? ""),
    make("span", { className: "bad" }, session.last_error),
  );
}

function content(session, act) {
  const id = session.registration_id;
  const isOver = ["completed", "expired"].includes(session.status);
  const action = (label, name, disabled) => button(label, () => act(id, name), { disabled });
  const buttons = make(
    "div",
    { className: "line" },
    action("Complete", "complete", session.status === "completed"),
    action("Redeliver", "redeliver", session.status !== "completed"),
    action("Fail", "fail", isOver),
    action("Cancel", "cancel", isOver),
    action("Expire", "expire", isOver),
    make("a", { className: "end", href: `/?s=${id}&mode=embed`, target: "_blank" }, "Open its page"),
  );
  return make("div", { className: "unfolded" }, facts(session), buttons);
}

function facts(session) {
  const end = session.completed_at ? "completed_at" : "expires_at";
  const names = ["integration", "lang", "phone", "parent_origin", "webhook_url", "attempts", end];
  if (session.status === "completed") names.push("app_id");
  const cells = names
    .filter((name) => session[name] !== null)
    .map((name) => make("div", {}, make("dt", {}, name), make("dd", {}, shown(name, session[name]))));
  return make("dl", { className: "facts" }, ...cells);
}

function shown(name, value) {
  return name.endsWith("_at") ? new Date(value).toLocaleTimeString("en-GB") : String(value);
}
