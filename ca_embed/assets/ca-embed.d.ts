/**
 * Types of ca-embed.js: the custom element `<ca-whatsapp-registration>` and `window.CAEmbed`.
 * The script has no exports; importing it, or loading it by a script tag, defines both.
 */

/** The status of the registration on this page. Only an answer of the host's own backend leads to `connected`. */
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
 * Why the element cannot continue: the `code` of the backend's answer, or one of these:
 * - `offline`: the backend cannot be reached. The element tries again when the browser is online again.
 * - `timeout`: the backend did not answer within 45 s.
 * - `bad_response`: the backend's answer is not the expected JSON. It may be a sign-in page.
 * - `bad_iframe_url`: the `iframe_url` is not https on exactly `iframe-origin`.
 * - `blocked`: the iframe sent no message within 20 s, or a Content-Security-Policy refused it.
 * - `configuration`: `endpoint` or `iframe-origin` is missing, `iframe-origin` is not an origin, or the `headers`
 *   function failed.
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

/** The languages of the element's texts. */
export type Language = 'de' | 'en' | 'es' | 'pt' | 'ru';

/** All texts of the element by name. `intro` is empty by default. */
export interface Texts {
  /** The title before the start. Also the name of the dialog and of the iframe. */
  idle: string;
  /** A sentence below that title. */
  intro: string;
  start: string;
  creating: string;
  resume: string;
  over: string;
  retry: string;
  finishing: string;
  /** The title when the confirmation takes longer than usual. */
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
  /** The question before the user leaves a registration that is under way. */
  asking: string;
  close: string;
  /** The title of any other error, by the code of the error. */
  [errorCode: string]: string;
}

/** Request headers, or a function that returns them or a promise of them. It is called before every request. */
export type HeadersSource = HeadersInit | (() => HeadersInit | Promise<HeadersInit>);

/** The `detail` of every event. */
export interface RegistrationDetail {
  /** Undefined until there is a session. */
  registration_id?: string;
}

/** The events of the element. All bubble. Those that come from the iframe are only hints. Rely on `confirmed`. */
export interface RegistrationEventMap {
  'ca-embed:ready': CustomEvent<RegistrationDetail>;
  /** `height` is the applied height in pixels. There is at most one such event per animation frame. */
  'ca-embed:height': CustomEvent<RegistrationDetail & { height: number }>;
  'ca-embed:phone_verified': CustomEvent<RegistrationDetail>;
  'ca-embed:facebook_started': CustomEvent<RegistrationDetail>;
  'ca-embed:completed': CustomEvent<RegistrationDetail>;
  /** `message` is the reason that the iframe gives, or empty. Treat it as text, never as HTML. */
  'ca-embed:failed': CustomEvent<RegistrationDetail & { message: string }>;
  'ca-embed:cancelled': CustomEvent<RegistrationDetail>;
  /** The backend has confirmed the registration. Fired once per registration and tab, even after reloads. */
  'ca-embed:confirmed': CustomEvent<RegistrationDetail>;
  'ca-embed:error': CustomEvent<RegistrationDetail & { code: ErrorCode }>;
  /** The modal was closed, or `close()` was called. */
  'ca-embed:closed': CustomEvent<RegistrationDetail & { outcome: Outcome }>;
}

export type Outcome = 'confirmed' | 'failed' | 'cancelled' | 'closed';

/**
 * `<ca-whatsapp-registration endpoint="/chatarchitect" iframe-origin="https://registration.example">`
 *
 * Required attributes: `endpoint` and `iframe-origin`. Optional: `mode` (`inline` or `modal`), `lang`, `autostart`, and
 * `csrf-header` with `csrf-token` or `csrf-cookie`, for hosts that expect a CSRF token. ca_embed sets `hosted` on its own
 * page, so that the element does not offer to open the same page in a new tab. If a page has several elements with one
 * endpoint, give each an `id`: it keeps apart what a reload resumes.
 *
 * Styling: the properties `--ca-accent` and `--ca-radius` on the element, and `::part()` of `box`, `panel`, `icon`,
 * `title`, `text`, `actions`, `button`, `iframe`, `dialog`, `heading` and `close`. The box also has the state as a part:
 * `idle`, `connected`, ...
 */
export interface CaWhatsappRegistration extends HTMLElement {
  readonly status: RegistrationStatus;
  /** The iframe, or null if none is loaded. */
  readonly iframe: HTMLIFrameElement | null;
  /** Headers for the requests to the host's own backend, for instance with a token. */
  headers?: HeadersSource;
  /** Texts that replace the element's own in every language. */
  texts?: Partial<Texts>;
  /** Starts, continues or tries again. Does nothing while a registration is under way. */
  start(): void;
  /** Removes the iframe and closes the modal without asking the user. The session can be continued. */
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
  /** The exact origin of ChatArchitect's page. */
  iframeOrigin: string;
  lang?: Language | (string & {});
  headers?: HeadersSource;
  texts?: Partial<Texts>;
  /** The name of the header for the host's CSRF token. Give also the token itself, or the name of its cookie. */
  csrfHeader?: string;
  csrfToken?: string;
  csrfCookie?: string;
}

export interface CAEmbed {
  /**
   * Opens the modal. The promise resolves with `confirmed` as soon as the backend confirms, or with another outcome when
   * the user closes the modal. A confirmed modal stays open until the user closes it. While the modal is open, further
   * calls return the same promise and open no other modal.
   */
  open(options: OpenOptions): Promise<{ outcome: Outcome; registration_id?: string }>;
  /** Texts for all elements of the page, by language. They may be set before the script is loaded. */
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
