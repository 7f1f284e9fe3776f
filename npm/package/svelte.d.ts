import type { HTMLAttributes } from 'svelte/elements';
import type { CaWhatsappRegistration, HeadersSource, Language, RegistrationEventMap, Texts } from './element.js';

export * from './index.js';

/** Spread them: `<ca-whatsapp-registration {...listeners}>`. Svelte warns of a colon in an attribute. */
export type Listeners = {
  [Name in keyof RegistrationEventMap as `on${Name}`]?: (event: RegistrationEventMap[Name]) => void;
};

export interface ElementProps extends Omit<HTMLAttributes<CaWhatsappRegistration>, 'lang'>, Listeners {
  /** Where ca_embed is mounted, for instance `/chatarchitect`. */
  endpoint: string;
  /** The exact origin of ChatArchitect's page. */
  'iframe-origin': string;
  mode?: 'inline' | 'modal';
  lang?: Language | (string & {});
  /** Starts without a click on the button. Svelte writes a boolean as text, and any text starts it. */
  autostart?: '' | null;
  'csrf-header'?: string;
  'csrf-cookie'?: string;
  'csrf-token'?: string;
  'sign-in-url'?: string;
  headers?: HeadersSource;
  texts?: Partial<Texts>;
}

declare module 'svelte/elements' {
  interface SvelteHTMLElements {
    'ca-whatsapp-registration': ElementProps;
  }
}
