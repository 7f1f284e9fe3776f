// The guide's messages to the page that frames this one: to its origin alone, never to "*".

import { registrationId } from "./backend.js";

let told = 0; // how many of the session's events the parent has heard of

/** Says that the page is there, and from now on how tall it is. */
export function greet(state, content) {
  told = state.events.length - (state.status === "completed" ? 1 : 0);
  tell(state, { event: "ready" });
  let last = 0;
  new ResizeObserver(() => {
    const height = Math.ceil(content.getBoundingClientRect().height);
    if (height !== last) tell(state, { event: "height", height: (last = height) });
  }).observe(content);
}

/** Passes on what has happened since. */
export function passOn(state) {
  for (const event of state.events.slice(told)) tell(state, event);
  told = state.events.length;
}

function tell(state, content) {
  if (window.parent === window) return; // opened in a tab of its own
  const message = { type: "ca.whatsapp.registration", registration_id: registrationId, ...content };
  window.parent.postMessage(message, state.parent_origin);
}
