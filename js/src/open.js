// CAEmbed.open: the modal from code, as a promise.
import { TAG } from './element.js';

let running;

/** Opens the modal. Until it is closed, also when it is confirmed, a second call gives the first one's promise. */
export const open = (options) => (running ??= show(options));

function show(options) {
  const element = document.createElement(TAG);
  for (const [name, value] of Object.entries({ ...options, mode: 'modal', autostart: '' })) {
    if (typeof value === 'string') element.setAttribute(name.replace(/[A-Z]/g, '-$&'), value);
    else element[name] = value;
  }
  return new Promise((settle) => {
    element.addEventListener('ca-embed:confirmed', ({ detail }) => settle({ outcome: 'confirmed', ...detail }));
    element.addEventListener('ca-embed:closed', ({ detail }) => {
      element.remove();
      running = undefined;
      settle(detail);
    });
    document.body.append(element);
  });
}
