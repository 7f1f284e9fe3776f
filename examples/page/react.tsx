// How to (React 19): copy ca-embed.js and ca-embed.d.ts next to this file. They can be imported on a server too.
import type { HTMLAttributes } from 'react';
import './ca-embed.js';
import type { CaWhatsappRegistration, RegistrationEventMap } from './ca-embed.js';

type Handlers = { [Name in keyof RegistrationEventMap as `on${Name}`]?: (event: RegistrationEventMap[Name]) => void };

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'ca-whatsapp-registration': HTMLAttributes<CaWhatsappRegistration> &
        Handlers &
        Partial<Pick<CaWhatsappRegistration, 'headers' | 'texts'>> & {
          endpoint: string;
          'iframe-origin': string;
          mode?: 'inline' | 'modal';
        };
    }
  }
}

const TEXTS = { idle: 'Connect your number' };

export function ConnectWhatsapp({ origin, onConfirmed }: { origin: string; onConfirmed: (id?: string) => void }) {
  return (
    <ca-whatsapp-registration
      endpoint="/chatarchitect"
      iframe-origin={origin}
      texts={TEXTS}
      onca-embed:confirmed={({ detail }) => onConfirmed(detail.registration_id)}
    />
  );
}
