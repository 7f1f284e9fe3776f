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
 * What the user sees. It is the status, except that some have a form of their own: `remembered` (an earlier registration
 * can be continued), `creating_slow`, `slow` (the confirmation takes long), `not_signed_in`, and the questions `help` and
 * `asking`.
 */
export type VisibleState =
  | RegistrationStatus
  | 'remembered'
  | 'creating_slow'
  | 'slow'
  | 'not_signed_in'
  | 'help'
  | 'asking';

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

/** The languages of the element's texts. A host may add others. */
export type Language = 'de' | 'en' | 'es' | 'pt' | 'ru';

/** All texts of the element by name. */
export interface Texts {
  /** Title before the start, and the name of the dialog and of the iframe. An action, as on a button. Also the title when an earlier registration can be continued. */
  idle: string;
  /** Below that title: how long it takes, and what is needed. */
  intro: string;
  /** Button that starts the registration. */
  start: string;
  /** Title while the form is prepared and loads. */
  creating: string;
  /** Small link below the form, and the title of what it opens. */
  help: string;
  /** Question before the user leaves a registration that is under way. */
  asking: string;
  /** Answer to the question: no, do not stop. It also closes the help. */
  keep: string;
  /** Answer to the question: yes, stop. */
  stop: string;
  /** Title after the user has completed the form. It is not certain yet that it worked. */
  finishing: string;
  /** Below the question, "waiting", "takes long", "cancelled" and "sign in again". */
  later: string;
  /** Title after 10 seconds of preparing, or when no confirmation has come for half a minute. */
  slow: string;
  /** Title when it is certain that it worked. The number is shown below. */
  connected: string;
  /** Button that closes this message. */
  done: string;
  /** Button that starts the registration of one more number. */
  another: string;
  /** Title when ChatArchitect's form says that it failed. */
  failed: string;
  /** Title when the form says that the user has closed the window of Facebook. */
  cancelled: string;
  /** Title when the registration was open for too long. */
  expired: string;
  /** Title when the browser, the network or the app around the page does not show the form. */
  blocked: string;
  /** Link that opens the form, or the sign-in page, in a new tab. */
  tab: string;
  /** Title of an error that has no title of its own. */
  error: string;
  /** Below the title of an error or a failure. */
  error_text: string;
  /** Title when there is no network. */
  offline: string;
  /** Title when the user is no longer signed in to the application. */
  not_signed_in: string;
  /** Title when ChatArchitect cannot be reached or refuses. The name stays as it is. */
  partner: string;
  /** Title when the application's own server cannot be reached or fails. */
  server: string;
  /** Button that tries again. */
  retry: string;
  /** Button that continues an earlier registration. */
  resume: string;
  /** Button that drops the registration and starts a new one. */
  over: string;
  /** Name of the cross that closes the dialog, and a button. */
  close: string;
  /** The direction of an added language: `ltr`, the default, or `rtl`. */
  dir: string;
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

/** The events of the element. All bubble and are composed. Those that come from the iframe are only hints. Rely on `confirmed`. */
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
  /** The user sees another state. It tells how far users come, and where they give up. */
  'ca-embed:state': CustomEvent<RegistrationDetail & { state: VisibleState }>;
  /** The modal was closed, or `close()` was called. */
  'ca-embed:closed': CustomEvent<RegistrationDetail & { outcome: Outcome }>;
}

export type Outcome = 'confirmed' | 'failed' | 'cancelled' | 'closed';

/**
 * `<ca-whatsapp-registration endpoint="/chatarchitect" iframe-origin="https://registration.example">`
 *
 * Required attributes: `endpoint` and `iframe-origin`. Optional: `mode` (`inline` or `modal`), `lang`, `autostart`,
 * `sign-in-url` (a link for users who were signed out), and
 * `csrf-header` with `csrf-token` or `csrf-cookie`, for hosts that expect a CSRF token. ca_embed sets `hosted` on its own
 * page, so that the element does not offer to open the same page in a new tab. If a page has several elements with one
 * endpoint, give each an `id`: it keeps apart what a reload resumes.
 *
 * Styling: the properties `--ca-accent`, `--ca-on-accent`, `--ca-danger`, `--ca-radius`, `--ca-font` and `--ca-spacing` on
 * the element, and `::part()` of `box`, `panel`, `icon`, `title`, `text`, `actions`, `button`, `primary`, `secondary`,
 * `reference`, `quiet`, `iframe`, `dialog`, `heading`, `name` and `close`. The box also has the state as a part: `idle`,
 * `connected`, ...
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
   * the user closes the modal. A confirmed modal stays open until the user closes it. Until the outcome is known, further
   * calls return the same promise. Each later call is a new registration.
   */
  open(options: OpenOptions): Promise<{ outcome: Outcome; registration_id?: string }>;
  /** Texts for all elements of the page, by language. They may be set before the script is loaded. */
  texts: { [language: string]: Partial<Texts> | undefined };
}

declare global {
  interface Window {
    CAEmbed: CAEmbed;
  }
  interface HTMLElementTagNameMap {
    'ca-whatsapp-registration': CaWhatsappRegistration;
  }
}
