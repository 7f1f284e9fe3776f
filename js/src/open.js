// CAEmbed.open: opens the modal from code and returns a promise of its outcome.
import { TAG } from './element.js';

let running; // the promise, until its outcome is known
let last; // the element of the last call: it may still say that the number is connected

/** Until the outcome of a call is known, further calls return its promise. Each later call is a new registration. */
export const open = (options) => (running ??= openModal(options));

function openModal(options) {
  last?.close();
  const element = (last = createElement({ ...options, mode: 'modal', id: Date.now(), opened: '' }));
  return new Promise((resolve) => {
    for (const name of ['confirmed', 'closed']) {
      element.addEventListener('ca-embed:' + name, ({ detail }) => {
        if (name === 'closed') element.remove();
        if (element === last) running = undefined;
        resolve({ outcome: name, ...detail }); // does nothing if it is already confirmed
      });
    }
    insert(element);
  });
}

/** The page may have no body yet. */
function insert(element) {
  if (!document.body) return addEventListener('DOMContentLoaded', () => insert(element));
  document.body.append(element);
  element.start();
}

/** Texts become attributes (`iframeOrigin` is `iframe-origin`). Objects and functions become properties. */
function createElement(options) {
  const element = document.createElement(TAG);
  for (const [name, value] of Object.entries(options)) {
    if (typeof value === 'string') element.setAttribute(name.replace(/[A-Z]/g, '-$&'), value);
    else element[name] = value;
  }
  return element;
}
