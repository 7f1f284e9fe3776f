// Remembers the session in the tab, so that a reload or the back button can resume it.
// A remembered session proves nothing: the backend is asked before anything is shown of it.
import { endpointOf } from './backend.js';

/** The remembered session, or null or undefined. */
export const loadSession = (element) =>
  ignoringErrors(() => JSON.parse(sessionStorage.getItem(keyOf(element)))); // null if there is none

/** Remembers a session. Undefined forgets the one before. */
export const saveSession = (element, session) =>
  ignoringErrors(() => {
    if (session) sessionStorage.setItem(keyOf(element), JSON.stringify(session));
    else sessionStorage.removeItem(keyOf(element));
  });

/** The `id` keeps apart several elements on one page. */
const keyOf = (element) => 'ca-embed ' + endpointOf(element) + ' ' + element.id;

/** The browser may forbid the storage, or it may be full. Then a reload starts anew, and all else works. */
function ignoringErrors(work) {
  try {
    return work();
  } catch {
    return undefined;
  }
}
