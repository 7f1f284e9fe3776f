// The course of one registration on this page: which status follows which.
// What the iframe says is a hint. Only the backend's answer leads to `connected`.
import { backendOf } from './backend.js';
import { iframeOf } from './iframe.js';
import { hasOrigin } from './origin.js';
import { pollingOf } from './polling.js';
import { loadSession, saveSession } from './session.js';
import { requestedLanguage, textsOf } from './texts.js';

const UNDER_WAY = ['creating', 'loading', 'in_progress', 'finishing'];

/**
 * The iframe is inserted into `box`. `isModal()` decides which limits its height has. `onChange()` is called after each
 * change that the user should see.
 */
export function registrationOf(element, { box, isModal, onChange }) {
  const backend = backendOf(element);
  const iframe = iframeOf({ isModal, onMessage, onHeight, onBlocked });
  const polling = pollingOf(checkStatus, onChange);

  let status = 'idle';
  let detail; // what the view shows with the status: the reason of a failure, the phone number, or an error code
  let session; // { registration_id, iframe_url }, and later `finishing` and `confirmed`

  // --- up to the iframe ----------------------------------------------------------------------------------------

  async function start() {
    stop();
    setStatus('creating');
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
    start();
  }

  /** Asks the backend about the session, if there is one. Returns true if the iframe is not needed any more. */
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
    iframe.load(box, iframe_url, title, { origin, registrationId: registration_id });
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
    reportError('blocked', 'Check frame-src of the CSP, and COEP.');
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

  /** For when the network or the page is back: does not wait for the next interval. */
  function checkNow() {
    if (polling.isWaiting()) checkStatus();
    if (status === 'error' && detail === 'offline') start();
  }

  // --- how it ends ---------------------------------------------------------------------------------------------

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

  /** The element was removed from the page. Returns true if a registration was under way. */
  function interrupt() {
    const wasUnderWay = isUnderWay();
    stop();
    if (wasUnderWay) status = 'idle';
    return wasUnderWay;
  }

  /** The user leaves. While finishing, only the confirmation is missing: it is still waited for. */
  function leave() {
    if (status === 'finishing') return;
    if (status === 'blocked' || isUnderWay()) {
      stop();
      status = 'idle';
    }
  }

  // --- helpers -------------------------------------------------------------------------------------------------

  /** Ends everything that is running. */
  function stop() {
    polling.stop();
    backend.cancel();
    iframe.remove();
  }

  function setStatus(newStatus, newDetail) {
    status = newStatus;
    detail = newDetail;
    onChange();
  }

  function setSession(newSession) {
    session = newSession;
    saveSession(element, session);
  }

  function emit(name, more) {
    const eventDetail = { registration_id: session?.registration_id, ...more };
    element.dispatchEvent(new CustomEvent('ca-embed:' + name, { bubbles: true, detail: eventDetail }));
  }

  function isUnderWay() {
    return UNDER_WAY.includes(status);
  }

  /** The status as the user sees it: some have two forms. */
  function visibleState() {
    if (status === 'idle' && session) return 'remembered';
    if (status === 'finishing' && polling.isSlow()) return 'slow';
    return status;
  }

  return {
    start,
    startOver,
    resume,
    recall: () => (session ??= loadSession(element)),
    checkNow,
    interrupt,
    leave,
    emit,
    isUnderWay,
    visibleState,
    status: () => status,
    detail: () => detail,
    iframe: () => iframe.node(),
  };
}
