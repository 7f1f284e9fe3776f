// The guide's messages to the page that frames this one. They go to its origin only, never to "*".

import { registrationId } from "./backend.js";

let sent = 0; // the number of the session's events that the parent has got

/** Sends "ready", and from now on "height" after each change of the content's height. */
export function connectParent(state, content) {
  // A page loaded after the completion still sends "completed": its parent may not have got it.
  sent = state.events.length - (state.status === "completed" ? 1 : 0);
  post(state, { event: "ready" });
  let last = 0;
  new ResizeObserver(() => {
    const height = Math.ceil(content.getBoundingClientRect().height);
    if (height !== last) post(state, { event: "height", height: (last = height) });
  }).observe(content);
}

/** Sends the new events to the parent. */
export function sendEvents(state) {
  for (const event of state.events.slice(sent)) post(state, event);
  sent = state.events.length;
}

function post(state, content) {
  if (window.parent === window) return; // not framed: the page has its own tab
  const message = { type: "ca.whatsapp.registration", registration_id: registrationId, ...content };
  window.parent.postMessage(message, state.parent_origin);
}
