// One session of the log page: a line, and its facts and buttons when unfolded.

import { button, make } from "./dom.js";

const opened = new Map(); // registration id -> whether its details are open; kept when drawn again

/** Returns the list item of a session. Its buttons call `act(id, action)`. */
export function sessionItem(session, act) {
  const id = session.registration_id;
  const details = make("details", { open: opened.get(id) ?? false }, line(session), content(session, act));
  details.addEventListener("toggle", () => opened.set(id, details.open));
  return make("li", {}, details);
}

function line(session) {
  const rating = { completed: "good", expired: "warn" }[session.status] ?? "";
  return make(
    "summary",
    {},
    make("code", {}, session.registration_id),
    make("span", { className: `chip ${rating}` }, session.status),
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
    ...["suspended", "disconnected", "reconnected"].map((name) =>
      action(`Made-up event: ${name}`, name, session.status !== "completed"),
    ),
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
