// Defines the element. On a server it defines nothing, so it can be imported there too.
import './element.js';

const refuse = () => Promise.reject(new Error('ca-embed: open() works only in a browser that supports the element'));

/** What `window.CAEmbed` is. On a server, `texts` may be set, and `open` rejects. */
export const CAEmbed = globalThis.CAEmbed ?? { open: refuse, texts: {} };

/** Opens the modal. */
export const open = (options) => CAEmbed.open(options);
