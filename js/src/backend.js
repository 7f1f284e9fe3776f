// Talks to the host's backend. A failure is thrown as `{ code, message }`: the code that `ca-embed:error` reports, and
// what the developer can do.

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
  let timer;

  /** Creates a session, or continues the open one with this id. */
  const createSession = (lang, id) => request('', 'registration_id', { lang, registration_id: id });

  async function fetchStatus(id) {
    const answer = await request(pathOf(id), 'registration_id').catch((error) => {
      // The backend does not know the registration, or it belongs to another user. Either way this one cannot go on.
      if (error.code === 'not_found') return { status: 'expired', registration_id: id };
      throw error;
    });
    if (answer.registration_id !== id) throw { code: 'bad_response' };
    return answer;
  }

  /** The user's own registrations, the newest first. */
  const fetchAll = async () => (await request('', 'registrations')).registrations;

  /** Tells how far the user has come. It is only a hint, so nothing waits for it. */
  const reportStep = (id, step) => send(element, pathOf(id) + '/step', { step }).catch(() => {});

  /** `expected` is a field that the right answer has. */
  async function request(path, expected, body) {
    cancel();
    const { signal } = (controller = new AbortController());
    timer = setTimeout(() => controller.abort('timeout'), REQUEST_TIMEOUT);
    try {
      const response = await send(element, path, body, signal);
      const answer = (await response.json().catch(() => {})) ?? {}; // a sign-in page, for instance, is no JSON
      if (response.ok && expected in answer) return answer;
      throw { code: answer.code ?? 'bad_response', message: answer.message };
    } catch (error) {
      if (signal.reason === 'cancelled') await new Promise(() => {}); // never settles
      throw signal.aborted ? { code: 'timeout' } : error;
    }
  }

  function cancel() {
    controller?.abort('cancelled');
    clearTimeout(timer);
  }

  return { createSession, fetchStatus, fetchAll, reportStep, cancel };
}

const pathOf = (id) => '/' + encodeURIComponent(id);

async function send(element, path, body, signal) {
  const headers = await headersFor(element, body);
  return fetch(endpointOf(element) + '/sessions' + path, {
    method: body ? 'POST' : 'GET',
    body: JSON.stringify(body),
    headers,
    credentials: 'include', // the endpoint may be on another origin
    signal,
  }).catch(() => {
    throw { code: 'offline' };
  });
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
