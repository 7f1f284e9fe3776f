// The log page: shows the sandbox's state, updates it every second, and sets the knobs.

import { entryItem } from "./log_entry.js";
import { sessionItem } from "./log_session.js";

const byId = (id) => document.getElementById(id);

let lastNumber = 0; // the number of the newest journal entry on the page
let shownSessions = ""; // as JSON; sessions are drawn again only after a change
let defaults = null; // the default knobs, which follow the guide

// ------------------------------------------------------------------------------------ server

async function post(path, content = {}) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
  });
  const body = await response.json();
  if (!response.ok) throw new Error(body.message);
  return body;
}

async function refresh() {
  try {
    const response = await fetch(`/sandbox/state?after=${lastNumber}`, { cache: "no-store" });
    const state = await response.json();
    defaults = state.default_knobs;
    showSessions(state.sessions);
    showEntries(state.journal);
    showKnobs(state.knobs);
    showConnection("Running");
  } catch {
    showConnection("Stopped");
  }
}

function showConnection(text) {
  // Only on a change: screen readers announce each write.
  if (byId("connection").textContent !== text) byId("connection").textContent = text;
}

// ---------------------------------------------------------------------------------- sessions

function showSessions(sessions) {
  const newest = JSON.stringify(sessions);
  if (newest === shownSessions) return;
  shownSessions = newest;
  byId("no-sessions").hidden = sessions.length > 0;
  byId("sessions").replaceChildren(...sessions.toReversed().map((session) => sessionItem(session, act)));
}

async function act(id, name) {
  await showOutcome(post(`/sandbox/sessions/${id}/${name}`));
  await refresh();
}

// ----------------------------------------------------------------------------------- journal

function showEntries(entries) {
  const fresh = entries.filter((entry) => entry.number > lastNumber); // two responses may overlap
  if (fresh.length === 0) return;
  lastNumber = fresh.at(-1).number;
  byId("no-journal").hidden = true;
  byId("journal").prepend(...fresh.map(entryItem).toReversed());
}

// ------------------------------------------------------------------------------------- knobs

function showKnobs(knobs) {
  for (const field of byId("knobs").elements) {
    if (!(field.name in knobs)) continue;
    const value = knobs[field.name];
    field.closest("label").classList.toggle("turned", value !== defaults[field.name]);
    if (field === document.activeElement && field.type !== "checkbox") continue; // do not disturb typing
    if (field.type === "checkbox") field.checked = value;
    else field.value = value ?? "";
  }
}

function valueOf(field) {
  if (field.type === "checkbox") return field.checked;
  if (field.value === "") return null;
  return field.type === "number" ? Number(field.value) : field.value;
}

byId("knobs").addEventListener("submit", (event) => event.preventDefault());

byId("knobs").addEventListener("change", async ({ target }) => {
  if (!target.reportValidity()) return;
  await showOutcome(post("/sandbox/knobs", { [target.name]: valueOf(target) }).then(showKnobs));
});

byId("reset-knobs").addEventListener("click", () => showOutcome(post("/sandbox/knobs/reset").then(showKnobs)));

/** Waits for a request, and shows why it failed, if it did. */
async function showOutcome(request) {
  const text = await request.then(
    () => "Changed knobs make the sandbox differ from the guide.",
    (problem) => problem.message,
  );
  byId("knobs-note").textContent = text;
}

byId("base-url").textContent = location.origin;
refresh();
setInterval(refresh, 1000);
