/**
 * Types of ca-embed.js: the custom element `<ca-whatsapp-registration>` and `window.CAEmbed`.
 * The script has no exports; importing it, or loading it by a script tag, defines both.
 */

/** Where a registration stands on this page. `connected` is the word of the host's own backend, never of the iframe. */
export type RegistrationStatus =
  | 'idle'
  | 'creating'
  | 'loading'
  | 'in_progress'
  | 'finishing'
  | 'connected'
  | 'failed'
  | 'cancelled'
  | 'expired'
  | 'blocked'
  | 'error';

/**
 * Why the element cannot go on: the `code` of the backend's answer, or one of its own.
 * - `offline`: the backend cannot be reached (it goes on by itself once the browser is online again)
 * - `timeout`: the backend did not answer within 45 s
 * - `bad_response`: its answer is not the JSON of the interface, for instance a sign-in page
 * - `bad_iframe_url`: its `iframe_url` is not https on exactly `iframe-origin`
 * - `blocked`: the iframe did not say `ready` within 20 s, or a Content-Security-Policy refused it
 * - `configuration`: `endpoint` or `iframe-origin` is missing or no origin, or the `headers` function failed
 */
export type ErrorCode =
  | 'not_signed_in'
  | 'forbidden_origin'
  | 'invalid_request'
  | 'storage_unavailable'
  | 'partner_timeout'
  | 'partner_unavailable'
  | 'partner_rejected'
  | 'offline'
  | 'timeout'
  | 'bad_response'
  | 'bad_iframe_url'
  | 'blocked'
  | 'configuration'
  | (string & {});

/** The languages that the element speaks. */
export type Language = 'de' | 'en' | 'es' | 'pt' | 'ru';

/** Every text of the element by its name. `intro` is empty unless the host gives it. */
export interface Texts {
  /** Title before the start, and name of the dialog and of the iframe. */
  idle: string;
  /** A sentence under that title. */
  intro: string;
  start: string;
  creating: string;
  resume: string;
  over: string;
  retry: string;
  finishing: string;
  /** Title when the confirmation is long in coming. */
  slow: string;
  support: string;
  connected: string;
  another: string;
  failed: string;
  cancelled: string;
  expired: string;
  blocked: string;
  tab: string;
  error: string;
  offline: string;
  not_signed_in: string;
  /** The question before a registration under way is left. */
  asking: string;
  close: string;
  /** The title of any other error, by its code. */
  [errorCode: string]: string;
}

/** Request headers, or a function that gives them (at once or as a promise), asked before every request. */
export type HeadersSource = HeadersInit | (() => HeadersInit | Promise<HeadersInit>);

/** What every event of the element tells. */
export interface RegistrationDetail {
  /** Absent as long as there is no session. */
  registration_id?: string;
}

/** The events of the element. All bubble. Those that come from the iframe are hints, `confirmed` is the truth. */
export interface RegistrationEventMap {
  'ca-embed:ready': CustomEvent<RegistrationDetail>;
  /** `height` is what was applied, in pixels; at most one event an animation frame. */
  'ca-embed:height': CustomEvent<RegistrationDetail & { height: number }>;
  'ca-embed:phone_verified': CustomEvent<RegistrationDetail>;
  'ca-embed:facebook_started': CustomEvent<RegistrationDetail>;
  'ca-embed:completed': CustomEvent<RegistrationDetail>;
  /** `message` is the iframe's reason, or empty. It is text: never put it into a page as HTML. */
  'ca-embed:failed': CustomEvent<RegistrationDetail & { message: string }>;
  'ca-embed:cancelled': CustomEvent<RegistrationDetail>;
  /** The backend says that the registration is completed. Once for a registration in a tab, also across reloads. */
  'ca-embed:confirmed': CustomEvent<RegistrationDetail>;
  'ca-embed:error': CustomEvent<RegistrationDetail & { code: ErrorCode }>;
  /** The modal was closed, or `close()` was called. */
  'ca-embed:closed': CustomEvent<RegistrationDetail & { outcome: Outcome }>;
}

export type Outcome = 'confirmed' | 'failed' | 'cancelled' | 'closed';

/**
 * `<ca-whatsapp-registration endpoint="/chatarchitect" iframe-origin="https://registration.example">`
 *
 * Attributes: `endpoint` and `iframe-origin`; `mode` (`inline` or `modal`), `lang`, `autostart`; `csrf-header` with
 * `csrf-token` or `csrf-cookie`, for hosts that demand a token; `hosted` is on the mount's own page, where there is no
 * use in offering to open that page in a new tab. Give elements an `id` if a page has several on one
 * endpoint: what a reload resumes is kept apart by it.
 *
 * Styling: `--ca-accent` and `--ca-radius` on the element; `::part()` of `box` (which also has the state as a part:
 * `idle`, `connected`, ...), `panel`, `icon`, `title`, `text`, `actions`, `button`, `iframe`, `dialog`, `heading`, `close`.
 */
export interface CaWhatsappRegistration extends HTMLElement {
  readonly status: RegistrationStatus;
  /** The iframe while there is one. */
  readonly iframe: HTMLIFrameElement | null;
  /** Headers for the host's own backend, for hosts that demand a token. */
  headers?: HeadersSource;
  /** Texts that replace the element's own, in whatever language it speaks. */
  texts?: Partial<Texts>;
  /** Starts, continues or tries again; under way it does nothing. */
  start(): void;
  /** Puts the iframe (and the modal) away without asking. The session can be continued. */
  close(): void;
  addEventListener<K extends keyof RegistrationEventMap>(
    type: K,
    listener: (this: CaWhatsappRegistration, event: RegistrationEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

export interface OpenOptions {
  /** Where ca_embed is mounted, for instance `/chatarchitect`. */
  endpoint: string;
  /** ChatArchitect's origin, exactly. */
  iframeOrigin: string;
  lang?: Language | (string & {});
  headers?: HeadersSource;
  texts?: Partial<Texts>;
  /** The name of the header that carries the host's CSRF token; and the token itself, or the cookie that holds it. */
  csrfHeader?: string;
  csrfToken?: string;
  csrfCookie?: string;
}

export interface CAEmbed {
  /**
   * Opens the modal. Settles as `confirmed` as soon as the backend confirms, else with what it was when the user closed
   * it. A confirmed modal says so, and stays until the user closes it. While a modal of this function is open, settled
   * or not, calling again gives the same promise and opens no other.
   */
  open(options: OpenOptions): Promise<{ outcome: Outcome; registration_id?: string }>;
  /** Texts for all elements of the page, by language. May be set before the script is loaded. */
  texts: { [language in Language]?: Partial<Texts> };
}

declare global {
  interface Window {
    CAEmbed: CAEmbed;
  }
  interface HTMLElementTagNameMap {
    'ca-whatsapp-registration': CaWhatsappRegistration;
  }
}
