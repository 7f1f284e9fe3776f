import type { HTMLAttributes, ReactElement, Ref } from 'react';
import type { CaWhatsappRegistration, Language, RegistrationEventMap } from './element.js';

type Attributes = Omit<HTMLAttributes<CaWhatsappRegistration>, 'onError' | 'lang'>;

type CamelCased<Name extends string> = Name extends `${infer First}_${infer Rest}`
  ? `${Capitalize<First>}${CamelCased<Rest>}`
  : Capitalize<Name>;

/** `onConfirmed`, `onPhoneVerified`, ...: one for each event of the element. */
type Listeners = {
  [Name in keyof RegistrationEventMap as Name extends `ca-embed:${infer Event}` ? `on${CamelCased<Event>}` : never]?: (
    event: RegistrationEventMap[Name],
  ) => void;
};

interface Shared extends Attributes, Partial<Pick<CaWhatsappRegistration, 'headers' | 'texts'>> {
  /** Where ca_embed is mounted, for instance `/chatarchitect`. */
  endpoint: string;
  mode?: 'inline' | 'modal';
  lang?: Language | (string & {});
  /** Starts without a click on the button. */
  autostart?: boolean;
  ref?: Ref<CaWhatsappRegistration>;
}

export interface WhatsAppRegistrationProps extends Shared, Listeners {
  /** The exact origin of ChatArchitect's page. */
  iframeOrigin: string;
  csrfHeader?: string;
  csrfCookie?: string;
  csrfToken?: string;
  signInUrl?: string;
}

export declare function WhatsAppRegistration(props: WhatsAppRegistrationProps): ReactElement;

/** The events under the names that React 19 takes for the element itself. */
type ElementListeners = {
  [Name in keyof RegistrationEventMap as `on${Name}`]?: (event: RegistrationEventMap[Name]) => void;
};

export interface ElementProps extends Shared, ElementListeners {
  'iframe-origin': string;
  'csrf-header'?: string;
  'csrf-cookie'?: string;
  'csrf-token'?: string;
  'sign-in-url'?: string;
  key?: string | number | bigint | null;
}

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'ca-whatsapp-registration': ElementProps;
    }
  }
}
