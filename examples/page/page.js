// How to: load it after ca-embed.js; it needs no inline script, so a strict Content-Security-Policy holds.
const element = document.querySelector('ca-whatsapp-registration');

// Only `confirmed` is the truth; what the iframe says (`completed`, `failed`, ...) are hints.
element.addEventListener('ca-embed:confirmed', ({ detail }) => {
  location.assign(`/channels/${encodeURIComponent(detail.registration_id)}`);
});

element.addEventListener('ca-embed:error', ({ detail }) => {
  if (detail.code === 'not_signed_in') location.assign('/login');
});

document.querySelector('#in-a-modal').addEventListener('click', async () => {
  const { outcome } = await CAEmbed.open({ endpoint: '/chatarchitect', iframeOrigin: 'https://registration.example' });
  if (outcome === 'confirmed') location.reload();
});
