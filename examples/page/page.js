// How to: load it after ca-embed.js; it needs no inline script, so a strict Content-Security-Policy holds.
const element = document.querySelector('#inline');

// Only `confirmed` is the truth; what the iframe says (`completed`, `failed`, ...) are hints.
element.addEventListener('ca-embed:confirmed', ({ detail }) => showChannel(detail));

element.addEventListener('ca-embed:error', ({ detail }) => {
  if (detail.code === 'not_signed_in') location.assign('/login');
});

document.querySelector('#in-a-modal').addEventListener('click', async () => {
  const result = await CAEmbed.open({ endpoint: '/chatarchitect', iframeOrigin: 'https://registration.example' });
  if (result.outcome === 'confirmed') showChannel(result);
});

function showChannel({ registration_id }) {
  location.assign(`/channels/${encodeURIComponent(registration_id)}`);
}
