// How to: load this file after ca-embed.js. It is no inline script, so a strict Content-Security-Policy allows it.
const element = document.querySelector('#inline');

// Rely on `confirmed` only. The events from the iframe (`completed`, `failed`, ...) are hints.
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
