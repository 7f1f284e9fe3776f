import type { CAEmbed as Global } from './element.js';

export * from './element.js';

/** What `window.CAEmbed` is. On a server, `texts` may be set, and `open` rejects. */
export declare const CAEmbed: Global;
export type CAEmbed = Global;

/** Opens the modal, and resolves with its outcome. */
export declare const open: Global['open'];
