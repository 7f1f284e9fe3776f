// Remembers a registration for as long as the tab lives, so that reloading or going back resumes it. What is
// remembered is only a question to ask: the backend's answer decides what is shown.
import { endpointOf } from './backend.js';

const keyOf = (element) => 'ca-embed ' + endpointOf(element) + ' ' + element.id;

/** The remembered session, or undefined. */
export const recall = (element) => attempt(() => JSON.parse(sessionStorage[keyOf(element)]));

/** Remembers a session; undefined is stored as what no JSON is, and so forgets it. */
export const remember = (element, session) => attempt(() => (sessionStorage[keyOf(element)] = JSON.stringify(session)));

/** Storage may be forbidden or full: the registration works all the same, only a reload starts anew. */
function attempt(work) {
  try {
    return work();
  } catch {}
}
