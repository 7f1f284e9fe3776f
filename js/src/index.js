// Defines the element and `window.CAEmbed`. Does nothing if the file is loaded twice, or on a server.
import { defineElement, TAG } from './element.js';
import { open } from './open.js';

if (globalThis.customElements && !customElements.get(TAG)) {
  window.CAEmbed = { open, texts: {}, ...window.CAEmbed }; // the host may have set `texts` before
  defineElement();
}
