// Shows the stored registrations, and updates them. Text is set as text, never as HTML.
"use strict";

const UPDATE_EVERY = 2000; // milliseconds

const rows = document.getElementById("registrations");
let shown = "";

async function refresh() {
  const response = await fetch("/registrations").catch(() => null);
  if (!response?.ok) return;
  const text = await response.text();
  if (text !== shown) show(JSON.parse(text));
  shown = text;
}

function show(registrations) {
  rows.replaceChildren(...registrations.map(row));
  rows.closest("table").hidden = registrations.length === 0;
  document.getElementById("none").hidden = registrations.length > 0;
}

function row(registration) {
  const line = document.createElement("tr");
  const id = cell(line, "");
  id.append(Object.assign(document.createElement("code"), { textContent: registration.registration_id }));
  cell(line, registration.phone ? `+${registration.phone}` : "–");
  cell(line, new Date(registration.created_at).toLocaleTimeString());
  const status = document.createElement("span");
  status.className = `status ${registration.status}`;
  status.textContent = registration.status.replaceAll("_", " ");
  cell(line, "").append(status);
  return line;
}

function cell(line, text) {
  const made = line.insertCell();
  made.textContent = text;
  return made;
}

for (const name of ["ready", "confirmed"]) document.addEventListener(`ca-embed:${name}`, refresh);
setInterval(() => document.hidden || refresh(), UPDATE_EVERY);
refresh();
