// The window that plays Meta's signup. It tells the page that opened it how the signup ended.

import { readState } from "./backend.js";
import { translate, translator } from "./texts.js";

const OUTCOME_OF_KNOB = { success: "finish", fail: "fail", cancel: "cancel" };
const OUTCOMES = ["finish", "cancel", "fail"];

const byId = (id) => document.getElementById(id);

function end(outcome) {
  if (!window.opener) return showLost();
  window.opener.postMessage({ type: "sandbox.meta", outcome }, location.origin);
  window.close();
}

/** Without its opener, this window cannot report how the signup ended. COOP of a page can cause that. */
function showLost() {
  byId("lost").hidden = false;
  for (const outcome of OUTCOMES) byId(`meta-${outcome}`).disabled = true;
}

async function start() {
  const state = await readState().catch(() => null);
  translate(translator(state?.lang ?? navigator.language));
  if (!state || !window.opener) return showLost();
  byId("fact-business").textContent = state.business ?? "–";
  byId("fact-phone").textContent = state.phone ? `+${state.phone}` : "–";
  byId("facts").hidden = false;
  if (state.outcome in OUTCOME_OF_KNOB) end(OUTCOME_OF_KNOB[state.outcome]);
}

for (const outcome of OUTCOMES) byId(`meta-${outcome}`).addEventListener("click", () => end(outcome));
start();
