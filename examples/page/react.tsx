// How to (React 19): load ca-embed.js in the page, or bundle a copy of it: `import './ca-embed.js'` is safe on a server too.
import { useEffect, useRef } from 'react';
import type { CaWhatsappRegistration } from './ca-embed';

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'ca-whatsapp-registration': React.HTMLAttributes<CaWhatsappRegistration> & {
        ref?: React.Ref<CaWhatsappRegistration>;
        endpoint: string;
        'iframe-origin': string;
        mode?: 'inline' | 'modal';
      };
    }
  }
}

export function ConnectWhatsapp({ origin, onConfirmed }: { origin: string; onConfirmed: (id?: string) => void }) {
  const element = useRef<CaWhatsappRegistration>(null);

  useEffect(() => {
    const controller = new AbortController();
    element.current?.addEventListener('ca-embed:confirmed', ({ detail }) => onConfirmed(detail.registration_id), {
      signal: controller.signal,
    });
    return () => controller.abort();
  }, [onConfirmed]);

  return <ca-whatsapp-registration ref={element} endpoint="/chatarchitect" iframe-origin={origin} />;
}
