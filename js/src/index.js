// Loaded twice, or on a server without a window, this file does nothing.
import { defineElement, TAG } from './element.js';
import { open } from './open.js';

if (globalThis.customElements && !customElements.get(TAG)) {
  window.CAEmbed = { open, texts: {}, ...window.CAEmbed };
  defineElement();
}
