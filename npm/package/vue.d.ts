import type { HTMLAttributes, Plugin, PublicProps, ShallowRef, ShallowUnwrapRef } from 'vue';
import type { CaWhatsappRegistration, HeadersSource, Language, RegistrationEventMap, Texts } from './element.js';

type CamelCased<Name extends string> = Name extends `${infer First}_${infer Rest}`
  ? `${Capitalize<First>}${CamelCased<Rest>}`
  : Capitalize<Name>;

type Emits = {
  [Name in keyof RegistrationEventMap as Name extends `ca-embed:${infer Event}` ? Event : never]: (
    event: RegistrationEventMap[Name],
  ) => void;
};

/** `@confirmed`, `@phone-verified`, ...: one for each event of the element. */
type Listeners = { [Name in keyof Emits & string as `on${CamelCased<Name>}`]?: Emits[Name] };

interface Shared {
  /** Where ca_embed is mounted, for instance `/chatarchitect`. */
  endpoint: string;
  mode?: 'inline' | 'modal';
  lang?: Language | (string & {});
  headers?: HeadersSource;
  texts?: Partial<Texts>;
}

export interface WhatsAppRegistrationProps extends Shared {
  /** The exact origin of ChatArchitect's page. */
  iframeOrigin: string;
  /** Starts without a click on the button. */
  autostart?: boolean;
  csrfHeader?: string;
  csrfCookie?: string;
  csrfToken?: string;
  signInUrl?: string;
}

export interface WhatsAppRegistrationExposed {
  element: Readonly<ShallowRef<CaWhatsappRegistration | undefined>>;
  start(): void;
  close(): void;
}

/** The element as a component. A template ref has `start()`, `close()` and `element`. */
export declare const WhatsAppRegistration: new () => ShallowUnwrapRef<WhatsAppRegistrationExposed> & {
  $props: WhatsAppRegistrationProps & Listeners & PublicProps & HTMLAttributes;
};

/** `app.use(CAEmbedPlugin)` makes `<WhatsAppRegistration>` known in all templates. */
declare const CAEmbedPlugin: Plugin<[]>;
export default CAEmbedPlugin;

type ElementListeners = {
  [Name in keyof Emits & string as `onCaEmbed:${Name}`]?: Emits[Name];
};

/**
 * The element itself. The names are those that Vue's type checker makes of `iframe-origin` and `@ca-embed:confirmed`.
 * Vue writes a boolean as text, and any text of `autostart` starts it.
 */
export interface ElementProps extends Shared, ElementListeners {
  iframeOrigin: string;
  autostart?: '' | null;
  csrfHeader?: string;
  csrfCookie?: string;
  csrfToken?: string;
  signInUrl?: string;
}

declare module 'vue' {
  interface GlobalComponents {
    WhatsAppRegistration: typeof WhatsAppRegistration;
    'ca-whatsapp-registration': new () => CaWhatsappRegistration & { $props: ElementProps & PublicProps & HTMLAttributes };
  }
}
