// tsc checks that the types allow these uses and refuse the wrong ones. A test renders it on a server.
import { useRef } from 'react';
import { open, type CaWhatsappRegistration } from 'ca-embed';
import { WhatsAppRegistration } from 'ca-embed/react';

export function App({ origin, onDone }: { origin: string; onDone: (id?: string) => void }) {
  const element = useRef<CaWhatsappRegistration>(null);
  return (
    <>
      <WhatsAppRegistration
        key="component"
        ref={element}
        endpoint="/chatarchitect"
        iframeOrigin={origin}
        csrfHeader="X-CSRFToken"
        csrfToken="token"
        mode="modal"
        autostart
        className="card"
        texts={{ idle: 'Connect your number' }}
        headers={async () => ({ Authorization: 'Bearer token' })}
        onConfirmed={({ detail }) => onDone(detail.registration_id)}
        onPhoneVerified={(event) => event.currentTarget}
        onError={({ detail: { code } }) => console.error(code.toUpperCase())}
        onClick={() => element.current?.start()}
      />
      <ca-whatsapp-registration
        key="element"
        ref={element}
        endpoint="/chatarchitect"
        iframe-origin={origin}
        csrf-header="X-CSRFToken"
        autostart={false}
        headers={{ Authorization: 'Bearer token' }}
        onca-embed:confirmed={({ detail }) => onDone(detail.registration_id)}
      />
    </>
  );
}

export const modal = () => open({ endpoint: '/chatarchitect', iframeOrigin: 'https://registration.example' });

// @ts-expect-error the origin is not optional
void (<WhatsAppRegistration endpoint="/chatarchitect" />);
// @ts-expect-error the name in JSX is iframeOrigin
void (<WhatsAppRegistration endpoint="/chatarchitect" iframe-origin="https://registration.example" />);
// @ts-expect-error no such mode
void (<WhatsAppRegistration endpoint="/x" iframeOrigin="https://registration.example" mode="popup" />);
// @ts-expect-error no such event
void (<WhatsAppRegistration endpoint="/x" iframeOrigin="https://registration.example" onDone={() => {}} />);
// @ts-expect-error the origin is not optional
void (<ca-whatsapp-registration endpoint="/chatarchitect" />);
