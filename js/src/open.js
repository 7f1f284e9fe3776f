// CAEmbed.open: opens the modal from code and returns a promise of its outcome.
import { TAG } from './element.js';

let running;

/** Until the modal is closed, even if it is already confirmed, further calls return the promise of the first. */
export const open = (options) => (running ??= openModal(options));

function openModal(options) {
  const element = createElement({ ...options, mode: 'modal', autostart: '' });
  return new Promise((resolve) => {
    element.addEventListener('ca-embed:confirmed', ({ detail }) => resolve({ outcome: 'confirmed', ...detail }));
    element.addEventListener('ca-embed:closed', ({ detail }) => {
      element.remove();
      running = undefined;
      resolve(detail); // does nothing if it is already confirmed
    });
    document.body.append(element);
  });
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
