// An application around examples/page/react.tsx: a button that mounts and unmounts it, and a list of the confirmed ids.
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { ConnectWhatsapp } from '../../../examples/page/react';

function Application({ origin }: { origin: string }) {
  const [isShown, show] = useState(true);
  const [confirmed, setConfirmed] = useState<(string | undefined)[]>([]);
  return (
    <main>
      <button id="switch" onClick={() => show(!isShown)}>Switch</button>
      <output>{confirmed.join(' ')}</output>
      {isShown && <ConnectWhatsapp origin={origin} onConfirmed={(id) => setConfirmed((known) => [...known, id])} />}
    </main>
  );
}

const root = document.querySelector<HTMLElement>('#app')!;
createRoot(root).render(<StrictMode><Application origin={root.dataset.origin!} /></StrictMode>);
