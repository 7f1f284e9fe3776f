// Talks to the host's own backend. What goes wrong is thrown as the code that `ca-embed:error` will carry.
const PATIENCE = 45000; // ms; the backend itself may wait 30 s for ChatArchitect

/** The mount's absolute address, without a slash at its end. */
export const endpointOf = (element) =>
  new URL(element.getAttribute('endpoint'), document.baseURI).href.replace(/\/*$/, '');

/**
 * `ask(path, body)` gives the JSON of the answer. A new question, or `drop()`, cancels the one before, and a cancelled
 * question is never settled: what waited for it can do nothing stale.
 */
export function backendOf(element) {
  let current;

  async function ask(path, body) {
    drop();
    const mine = (current = new AbortController());
    try {
      return await answerTo(element, path, body, mine.signal);
    } catch (code) {
      if (mine.signal.aborted) await new Promise(() => {});
      throw code;
    }
  }

  const drop = () => current?.abort();
  return { ask, drop };
}

async function answerTo(element, path, body, dropped) {
  const response = await fetch(endpointOf(element) + path, {
    method: body ? 'POST' : 'GET',
    body: body && JSON.stringify(body),
    headers: await headersFor(element, body),
    credentials: 'include',
    cache: 'no-store',
    signal: AbortSignal.any([dropped, AbortSignal.timeout(PATIENCE)]),
  }).catch(({ name }) => {
    throw name === 'TimeoutError' ? 'timeout' : 'offline';
  });
  const answer = await response.json().catch(() => {});
  if (response.ok && typeof answer?.registration_id === 'string') return answer;
  throw answer?.code ?? 'bad_response';
}

/** The host's own headers (an object or a function, which may be async), and its CSRF token, given or in a cookie. */
async function headersFor(element, body) {
  let { headers } = element;
  if (typeof headers === 'function') headers = await headers();
  headers = new Headers(headers);
  if (body) headers.set('Content-Type', 'application/json');
  const csrf = (name) => element.getAttribute('csrf-' + name);
  if (body && csrf('header')) headers.set(csrf('header'), csrf('token') ?? cookie(csrf('cookie')));
  return headers;
}

const cookie = (name) => decodeURIComponent(document.cookie.match(`(?:^|; )${name}=([^;]*)`)?.[1] ?? '');
