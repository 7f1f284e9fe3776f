// Talks to the host's backend. A failure is thrown as a string: the code that `ca-embed:error` reports.

const REQUEST_TIMEOUT = 45000; // ms; longer than the 30 s that the backend may wait for ChatArchitect

/** The absolute URL of the mount, without a slash at its end. */
export const endpointOf = (element) =>
  new URL(element.getAttribute('endpoint'), document.baseURI).href.replace(/\/*$/, '');

/**
 * One request runs at a time. A new request, or `cancel()`, cancels the one before. The promise of a cancelled
 * request never settles, so the code that waits for it cannot act on outdated news.
 */
export function backendOf(element) {
  let controller;

  const createSession = (lang) => request('/sessions', { lang });

  async function fetchStatus(id) {
    const answer = await request('/sessions/' + encodeURIComponent(id)).catch((code) => {
      // The backend does not know the registration, or it belongs to another user. Either way this one cannot go on.
      if (code === 'not_found') return { status: 'expired', registration_id: id };
      throw code;
    });
    if (answer.registration_id !== id) throw 'bad_response';
    return answer;
  }

  async function request(path, body) {
    cancel();
    controller = new AbortController();
    const { signal } = controller;
    try {
      return await fetchJson(element, path, body, signal);
    } catch (code) {
      if (signal.aborted) await new Promise(() => {}); // never settles
      throw code;
    }
  }

  const cancel = () => controller?.abort();

  return { createSession, fetchStatus, cancel };
}

async function fetchJson(element, path, body, cancelled) {
  const url = endpointOf(element) + path;
  const headers = await headersFor(element, body);
  const response = await fetch(url, {
    method: body ? 'POST' : 'GET',
    body: body && JSON.stringify(body),
    headers,
    credentials: 'include', // the endpoint may be on another origin
    cache: 'no-store',
    signal: AbortSignal.any([cancelled, AbortSignal.timeout(REQUEST_TIMEOUT)]),
  }).catch(({ name }) => {
    throw name === 'TimeoutError' ? 'timeout' : 'offline';
  });
  const answer = await response.json().catch(() => undefined); // a sign-in page, for instance, is no JSON
  if (response.ok && typeof answer?.registration_id === 'string') return answer;
  throw answer?.code ?? 'bad_response';
}

/** The host's own headers, given as an object or by a function, and its CSRF token, given or in a cookie. */
async function headersFor(element, body) {
  const given = typeof element.headers === 'function' ? await element.headers() : element.headers;
  const headers = new Headers(given);
  if (!body) return headers;
  headers.set('Content-Type', 'application/json');
  const csrfHeader = element.getAttribute('csrf-header');
  if (csrfHeader) headers.set(csrfHeader, csrfToken(element));
  return headers;
}

const csrfToken = (element) => element.getAttribute('csrf-token') ?? readCookie(element.getAttribute('csrf-cookie'));

const readCookie = (name) => decodeURIComponent(document.cookie.match(`(?:^|; )${name}=([^;]*)`)?.[1] ?? '');
