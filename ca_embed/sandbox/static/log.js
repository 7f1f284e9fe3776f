// The log page: shows what the sandbox knows, once a second, and turns its knobs.

import { entryItem } from "./log_entry.js";
import { sessionItem } from "./log_session.js";

const byId = (id) => document.getElementById(id);

let lastNumber = 0; // of the journal's newest entry here
let shownSessions = ""; // as JSON; sessions are drawn again only when something changed
let defaults = null; // the knobs that follow the guide

// ------------------------------------------------------------------------------------ server

async function post(path, content = {}) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.message);
  return body;
}

async function refresh() {
  try {
    const answer = await fetch(`/sandbox/state?after=${lastNumber}`, { cache: "no-store" });
    const state = await answer.json();
    defaults = state.default_knobs;
    showSessions(state.sessions);
    showEntries(state.journal);
    showKnobs(state.knobs);
    showConnection(true);
  } catch {
    showConnection(false);
  }
}

function showConnection(isThere) {
  const words = isThere ? "Running" : "Stopped";
  if (byId("connection").textContent !== words) byId("connection").textContent = words;
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
  await say(post(`/sandbox/sessions/${id}/${name}`));
  await refresh();
}

// ----------------------------------------------------------------------------------- journal

function showEntries(entries) {
  const fresh = entries.filter((entry) => entry.number > lastNumber); // two answers may overlap
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
    if (field === document.activeElement && field.type !== "checkbox") continue;
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
  await say(post("/sandbox/knobs", { [target.name]: valueOf(target) }).then(showKnobs));
});

byId("reset-knobs").addEventListener("click", () => say(post("/sandbox/knobs/reset").then(showKnobs)));

/** Waits for something to be done, and says why if it was not. */
async function say(done) {
  const words = await done.then(
    () => "What is turned here departs from the guide.",
    (problem) => problem.message,
  );
  byId("knobs-note").textContent = words;
}

byId("base-url").textContent = location.origin;
refresh();
setInterval(refresh, 1000);
