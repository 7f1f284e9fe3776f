// This file is never run: tsc checks that the types allow these uses of the element.
import type { CaWhatsappRegistration, RegistrationStatus } from '../../ca_embed/assets/ca-embed';

const element: CaWhatsappRegistration = document.createElement('ca-whatsapp-registration');
const found: CaWhatsappRegistration | null = document.querySelector('ca-whatsapp-registration');

element.setAttribute('mode', 'modal');
element.headers = async () => ({ 'X-CSRFToken': 'token' });
element.texts = { start: 'Go', partner_timeout: 'Please wait a moment' };
element.addEventListener('ca-embed:confirmed', ({ detail }) => detail.registration_id?.toUpperCase());
element.addEventListener('ca-embed:height', function ({ detail: { height } }) {
  this.iframe?.style.setProperty('max-height', height.toFixed());
});
element.addEventListener('ca-embed:error', ({ detail: { code } }) => {
  if (code === 'not_signed_in') location.reload();
});
element.addEventListener('click', () => element.start());
found?.close();

const isDone = (status: RegistrationStatus): boolean => status === 'connected';
isDone(element.status);

window.CAEmbed.texts.de = { idle: 'Nummer verbinden' };
const { outcome, registration_id } = await window.CAEmbed.open({
  endpoint: '/chatarchitect',
  iframeOrigin: 'https://registration.example',
  lang: 'pt-BR',
  headers: { Authorization: 'Bearer token' },
});
if (outcome === 'confirmed') console.log(registration_id?.length);

// @ts-expect-error the iframe's origin is not optional
void window.CAEmbed.open({ endpoint: '/chatarchitect' });
// @ts-expect-error no such outcome
if (outcome === 'done') element.remove();
// @ts-expect-error only the element changes its status
element.status = 'connected';
