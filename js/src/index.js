// Defines the element and `window.CAEmbed`. Does nothing if the file is loaded twice, on a server, or in a browser
// that is too old: then the page shows what stands inside the element, a link to the hosted page.
import { defineElement, TAG } from './element.js';
import { open } from './open.js';

const isSupported = () => CSS.supports('color: rgb(from light-dark(red, red) r g b)');

if (globalThis.customElements && !customElements.get(TAG) && isSupported()) {
  window.CAEmbed = { open, texts: {}, ...window.CAEmbed }; // the host may have set `texts` before
  defineElement();
}
