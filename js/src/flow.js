// The course of one registration on this page: which status follows which, and what is shown of it.
// What the iframe says is a hint. Only the backend's answer leads to `connected`.
import { backendOf, endpointOf } from './backend.js';
import { iframeOf } from './iframe.js';
import { hasOrigin } from './origin.js';
import { panelFor } from './panels.js';
import { pollingOf } from './polling.js';
import { loadSession, saveSession } from './session.js';
import { requestedLanguage, textsOf } from './texts.js';
import { viewOf } from './view.js';

const UNDER_WAY = ['creating', 'loading', 'in_progress', 'finishing'];
const OUTCOMES = { connected: 'confirmed', failed: 'failed', cancelled: 'cancelled' }; // of a modal; else `closed`

export function flowOf(element) {
  const view = viewOf(element, { confirmClosing, onClosed });
  const backend = backendOf(element);
  const iframe = iframeOf({ isModal, onMessage, onHeight, onBlocked });
  const polling = pollingOf(checkStatus, draw);

  let status = 'idle';
  let detail; // of the status: the reason of a failure, the phone number, or the code of an error
  let session; // { registration_id, iframe_url }, and later `finishing` and `confirmed`
  let isAsking = false; // whether the dialog asks if the user really wants to leave
  let wasInterrupted = false; // removed from the page while under way
  let listeners; // an AbortController: aborting it removes all listeners on window

  // --- in and out of the page ----------------------------------------------------------------------------------

  function connect() {
    listeners = new AbortController();
    const { signal } = listeners;
    window.addEventListener('online', checkNow, { signal });
    window.addEventListener('pageshow', checkNow, { signal }); // back from the back/forward cache
    // Frameworks insert an element first and set its attributes and properties afterwards.
    queueMicrotask(() => signal.aborted || restore());
  }

  function disconnect() {
    listeners.abort();
    wasInterrupted = isUnderWay();
    stop();
    if (wasInterrupted) status = 'idle';
    view.closeDialog();
  }

  /** Continues after a move within the page, a reload or a return to it. */
  async function restore() {
    if (status !== 'idle') return draw();
    session ??= loadSession(element);
    if (wasInterrupted || element.hasAttribute('autostart')) return start();
    if (session) draw('creating'); // it looks busy while the backend is asked
    try {
      await resume();
      draw();
    } catch {
      draw('idle'); // without an answer, for instance if no one is signed in, show nothing of the session
    }
  }

  // --- up to the iframe ----------------------------------------------------------------------------------------

  async function start() {
    isAsking = false;
    if (isUnderWay()) return draw();
    stop();
    setStatus('creating');
    if (isModal()) view.openDialog();
    try {
      const origin = element.getAttribute('iframe-origin');
      if (!element.getAttribute('endpoint') || !hasOrigin(origin, origin)) throw 'configuration';
      if (await resume()) return;
      if (!session) await createSession();
      showIframe(origin);
    } catch (error) {
      fail(error);
    }
  }

  function startOver() {
    setSession(undefined);
    status = 'idle';
    start();
  }

  /** Asks the backend about the remembered session. Returns true if the iframe is not needed any more. */
  async function resume() {
    if (!session) return false;
    const answer = await backend.fetchStatus(session.registration_id);
    if (answer.status === 'completed') return confirm(answer);
    if (answer.status === 'expired') setSession(undefined);
    else if (session.finishing) return finish();
    return false;
  }

  async function createSession() {
    const { registration_id, iframe_url } = await backend.createSession(requestedLanguage(element));
    setSession({ registration_id, iframe_url });
  }

  function showIframe(origin) {
    const { registration_id, iframe_url } = session;
    // Checked although the backend gave it: a URL like `javascript:` would run in the host's page, and a remembered
    // one comes from the browser's storage.
    if (!hasOrigin(iframe_url, origin)) {
      setSession(undefined);
      throw 'bad_iframe_url';
    }
    const title = textsOf(element).idle;
    iframe.load(view.box, { url: iframe_url, title, origin, registrationId: registration_id });
    setStatus('loading');
  }

  // --- what the iframe says ------------------------------------------------------------------------------------

  function onMessage({ event, height, message }) {
    if (status === 'loading' || status === 'blocked') showForm();
    if (event === 'height') return iframe.requestHeight(height);
    const reason = typeof message === 'string' ? message : '';
    if (status === 'in_progress') followHint(event, reason);
    emit(event, { message: reason });
  }

  function showForm() {
    setStatus('in_progress');
    polling.checkLater(); // messages can get lost
  }

  function followHint(event, reason) {
    if (event === 'completed') finish();
    if (event === 'failed' || event === 'cancelled') {
      stop();
      setStatus(event, reason);
      // The hint can be wrong: a page with a Cross-Origin-Opener-Policy in Meta's window makes `popup.closed` true
      // although the window is open. Then `cancelled` arrives while the user is still typing there.
      checkStatus();
    }
  }

  function onHeight(height) {
    emit('height', { height });
  }

  function onBlocked() {
    setStatus('blocked');
    reportError('blocked', "Check the page's headers: frame-src of the CSP, and Cross-Origin-Embedder-Policy.");
  }

  // --- what the backend says -----------------------------------------------------------------------------------

  function finish() {
    polling.restart();
    setSession({ ...session, finishing: true });
    setStatus('finishing');
    checkStatus();
    return true;
  }

  async function checkStatus() {
    polling.stop();
    const answer = await backend.fetchStatus(session.registration_id).catch(() => ({})); // asked again below
    if (answer.status === 'completed') return confirm(answer);
    if (!isUnderWay()) return;
    if (answer.status === 'expired') return expire();
    if (status === 'finishing') polling.checkSoon();
    else polling.checkLater();
  }

  /** The network, or the page itself, is back: do not wait for the next interval. */
  function checkNow() {
    if (polling.isWaiting()) checkStatus();
    if (status === 'error' && detail === 'offline') start();
  }

  function confirm({ phone }) {
    const isFirstTime = !session.confirmed;
    stop();
    setSession({ ...session, confirmed: true });
    setStatus('connected', phone && '+' + phone);
    if (isFirstTime) emit('confirmed');
    return true;
  }

  function expire() {
    stop();
    setSession(undefined);
    setStatus('expired');
  }

  // --- errors --------------------------------------------------------------------------------------------------

  /** `error` is a code, or what the host's own `headers` function has thrown. */
  function fail(error) {
    stop();
    setStatus('error', typeof error === 'string' ? error : 'configuration');
    reportError(detail, error);
  }

  function reportError(code, hint) {
    console.error('ca-embed:', code, hint);
    emit('error', { code });
  }

  // --- leaving -------------------------------------------------------------------------------------------------

  function close() {
    if (view.isDialogOpen()) view.closeDialog();
    else onClosed();
  }

  /** Asks once before the user leaves a registration that is under way. Returns whether the dialog may close. */
  function confirmClosing() {
    isAsking = !isAsking && isUnderWay();
    draw();
    return !isAsking;
  }

  function onClosed() {
    const outcome = OUTCOMES[status] ?? 'closed';
    isAsking = false;
    // While finishing, the user has nothing more to do, and the confirmation is still waited for.
    if (status === 'blocked' || (isUnderWay() && status !== 'finishing')) {
      stop();
      status = 'idle';
    }
    draw();
    emit('closed', { outcome });
  }

  // --- state and view ------------------------------------------------------------------------------------------

  /** Ends all that goes on. The session stays. */
  function stop() {
    polling.stop();
    backend.cancel();
    iframe.remove();
  }

  function setStatus(newStatus, newDetail) {
    status = newStatus;
    detail = newDetail;
    isAsking = isAsking && isUnderWay();
    draw();
  }

  function setSession(newSession) {
    session = newSession;
    saveSession(element, session);
  }

  function draw(state = visibleState()) {
    const texts = textsOf(element);
    view.draw(texts, state, panelFor(state, detail, texts, actions()));
  }

  function visibleState() {
    if (isAsking) return 'asking';
    if (status === 'idle' && session) return 'remembered';
    return status === 'finishing' && polling.isSlow() ? 'slow' : status;
  }

  /** What the buttons do, by the names of their texts. */
  function actions() {
    // On the mount's own page, which has `hosted`, a new tab would show the same page again.
    const canOpenTab = !element.hasAttribute('hosted');
    return {
      start,
      resume: start,
      retry: start,
      over: startOver,
      another: startOver,
      tab: canOpenTab && (() => window.open(endpointOf(element) + '/', '_blank', 'noopener')),
      close: view.isDialogOpen() && close,
    };
  }

  function emit(name, more) {
    const eventDetail = { registration_id: session?.registration_id, ...more };
    element.dispatchEvent(new CustomEvent('ca-embed:' + name, { bubbles: true, detail: eventDetail }));
  }

  function isModal() {
    return element.getAttribute('mode') === 'modal';
  }

  function isUnderWay() {
    return UNDER_WAY.includes(status);
  }

  return { connect, disconnect, draw, start, close, status: () => status, iframe: () => iframe.node() };
}
