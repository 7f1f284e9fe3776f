// svelte-check checks that the types refuse these uses.
import type { ElementProps } from 'ca-embed/svelte';
import type { SvelteHTMLElements } from 'svelte/elements';

const known: SvelteHTMLElements['ca-whatsapp-registration'] = { endpoint: '/x', 'iframe-origin': 'https://registration.example' };
// @ts-expect-error the origin is not optional
export const incomplete: ElementProps = { endpoint: '/x' };
// @ts-expect-error no such mode
export const popup: ElementProps = { ...known, mode: 'popup' };
// @ts-expect-error Svelte would write "false", which starts it
export const started: ElementProps = { ...known, autostart: false };
