// The course of one registration on this page: which status follows which.
// What the iframe says is a hint. Only the backend's answer leads to `connected`.
import { backendOf } from './backend.js';
import { iframeOf } from './iframe.js';
import { hasOrigin } from './origin.js';
import { pollingOf } from './polling.js';
import { loadSession, saveSession } from './session.js';
import { requestedLanguage, textsOf } from './texts.js';

const OPEN = /^(started|phone_|form_|fb_)/; // the backend's words for a session that can go on
const SETBACK = /failed|cancelled/;
// ms until a status counts as slow. After a setback: until the iframe is removed, for the hint may be wrong.
const PATIENCE = { creating: 10000, finishing: 30000, failed: 180000, cancelled: 180000 };

/**
 * The iframe is inserted into `box`. `isModal()` decides which limits its height has. `onChange()` is called after each
 * change that the user should see.
 */
export function registrationOf(element, { box, isModal, onChange }) {
  const backend = backendOf(element);
  const iframe = iframeOf({ isModal, onMessage, onHeight, onBlocked });
  const polling = pollingOf(checkStatus);

  let status = 'idle';
  let detail; // what the view shows with the status: the reason of a failure, the phone number, or an error code
  let session; // { registration_id, iframe_url }, and later `finishing` and `confirmed`
  let isSignedOut = false; // while the iframe waits
  let isSlow = false;
  let timer; // see PATIENCE

  // --- up to the iframe ----------------------------------------------------------------------------------------

  function start() {
    if (isSignedOut) checkStatus();
    else if (isUnderWay()) onChange();
    else if (SETBACK.test(status) && iframe.node()) showForm();
    else begin();
  }

  const startOver = () => begin(setSession());

  /** Loads the form of the same session again. */
  const reload = () => begin(setSession({ ...session, finishing: false }));

  async function begin() {
    stop();
    recall();
    setStatus('creating');
    try {
      const origin = element.getAttribute('iframe-origin');
      if (!element.getAttribute('endpoint') || !hasOrigin(origin, origin)) throw {};
      if (await resume()) return;
      if (!session?.iframe_url) {
        setSession(await backend.createSession(requestedLanguage(element), session?.registration_id));
      }
      showIframe(origin);
    } catch (error) {
      fail(error);
    }
  }

  /** Finds the session of an earlier page. */
  const recall = () => (session ??= loadSession(element));

  /** Asks the backend about the session, if there is one. Returns true if the iframe is not needed any more. */
  async function resume() {
    if (!session) return false;
    const answer = await backend.fetchStatus(session.registration_id);
    if (isCompleted(answer)) return confirm(answer);
    if (answer.status === 'expired') setSession();
    else if (session.finishing) return finish();
    return false;
  }

  /** In a new tab or another browser: finds what the user has connected, or can continue. */
  async function findElsewhere() {
    const all = await backend.fetchAll();
    const completed = all.find(isCompleted);
    setSession(completed ?? all.find((each) => OPEN.test(each.status)));
    if (completed) confirm(completed, false); // it is no news for the host
  }

  function showIframe(origin) {
    const { registration_id, iframe_url } = session;
    // Checked although the backend gave it: a URL like `javascript:` would run in the host's page, and a remembered
    // one comes from the browser's storage.
    if (!hasOrigin(iframe_url, origin)) {
      setSession();
      throw { code: 'bad_iframe_url', message: 'Check iframe-origin.' };
    }
    iframe.load(box, iframe_url, textsOf(element).idle, { origin, registrationId: registration_id });
    setStatus('loading');
  }

  /** The element was moved in the page, so the browser loads the iframe anew. */
  function reloaded() {
    if (!/loading|in_progress/.test(status)) return;
    iframe.expectReady();
    setStatus('loading');
  }

  // --- what the iframe says ------------------------------------------------------------------------------------

  function onMessage({ event, height, message }) {
    if (/loading|blocked/.test(status)) showForm();
    if (event === 'height') return iframe.requestHeight(height);
    const reason = typeof message === 'string' ? message : '';
    backend.reportStep(session.registration_id, event);
    if (status !== 'finishing') followHint(event, reason);
    emit(event, { message: reason });
  }

  function showForm() {
    setStatus('in_progress');
    polling.checkLater(); // messages can get lost
  }

  function followHint(event, reason) {
    if (event === 'completed') finish();
    else if (SETBACK.test(event)) {
      setStatus(event, reason);
      // The hint can be wrong: a page with a Cross-Origin-Opener-Policy in Meta's window makes `popup.closed` true
      // although the window is open. Then `cancelled` arrives while the user is still typing there.
      checkStatus();
    } else if (SETBACK.test(status) && event !== 'ready') showForm(); // the user goes on
  }

  function onHeight(height) {
    emit('height', { height });
  }

  function onBlocked() {
    setStatus('blocked');
    reportError({ code: 'blocked', message: 'Check frame-src and COEP.' });
    polling.checkLater(); // the user may open the form in a new tab
  }

  // --- what the backend says -----------------------------------------------------------------------------------

  function finish() {
    setSession({ ...session, finishing: true });
    setStatus('finishing');
    checkStatus();
    return true;
  }

  async function checkStatus() {
    polling.stop();
    let answer = {};
    try {
      answer = await backend.fetchStatus(session.registration_id);
      // The user may have completed another one in a new tab.
      if (status === 'blocked') answer = (await backend.fetchAll()).find(isCompleted) ?? answer;
    } catch (error) {
      if (error.code === 'not_signed_in') signOut(error); // all else is asked again below
    }
    if (isCompleted(answer)) return confirm(answer);
    if (answer.status === 'expired' && isUnderWay()) {
      setSession();
      setStatus('expired');
      return stop();
    }
    if (answer.status && isSignedOut) onChange((isSignedOut = false));
    if (status === 'finishing') polling.checkSoon();
    else if (iframe.node()) polling.checkLater();
  }

  /** The user was signed out meanwhile. The iframe waits, and it goes on after the sign-in in another tab. */
  function signOut(error) {
    if (isSignedOut) return;
    onChange((isSignedOut = true));
    reportError(error);
  }

  /** For when the network, the page or the user is back: does not wait for the next interval. */
  function checkNow() {
    // Also if a request is under way: the browser may have dropped it while the page was not shown.
    if (/in_progress|finishing|blocked/.test(status) || SETBACK.test(status)) checkStatus();
    else if (status === 'error' && /offline|not_signed_in/.test(detail)) begin();
  }

  // --- how it ends ---------------------------------------------------------------------------------------------

  function confirm({ registration_id, phone }, isNews = !session.confirmed) {
    setSession({ registration_id, confirmed: true });
    setStatus('connected', phone && '+' + phone);
    stop();
    if (isNews) emit('confirmed');
    return true;
  }

  /** `error` has a code, or it is what the host's own `headers` function has thrown. */
  function fail(error) {
    const message = 'Check endpoint, iframe-origin and headers.';
    const known = typeof error.code === 'string' ? error : { code: 'configuration', message };
    setStatus('error', known.code);
    reportError(known);
  }

  function reportError({ code, message = 'See the log of your server.' }) {
    console.error(`ca-embed: ${code}. ${message}`);
    emit('error', { code });
  }

  /** Forgets everything, for instance because the element has another endpoint now. */
  function reset() {
    stop();
    session = undefined;
    setStatus('idle');
  }

  /** The user leaves, or the element was removed. While finishing, the confirmation is still waited for. */
  function leave(isRemoved) {
    if (status === 'finishing' && !isRemoved) return;
    if (isUnderWay() || status === 'blocked') setStatus('idle');
    stop();
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
    isSlow = isSignedOut = false;
    clearTimeout(timer);
    if (PATIENCE[status]) timer = setTimeout(outOfPatience, PATIENCE[status]);
    onChange();
  }

  function outOfPatience() {
    if (SETBACK.test(status)) stop();
    else onChange((isSlow = true));
  }

  function setSession(newSession) {
    session = newSession;
    saveSession(element, session);
  }

  const isCompleted = (answer) => answer.status === 'completed';

  const isUnderWay = () => /creating|loading|in_progress|finishing/.test(status);

  function emit(name, more) {
    const eventDetail = { registration_id: session?.registration_id, ...more };
    const options = { bubbles: true, composed: true, detail: eventDetail };
    element.dispatchEvent(new CustomEvent('ca-embed:' + name, options));
  }

  /** The status as the user sees it: some have two forms. */
  function visibleState() {
    if (isSignedOut || detail === 'not_signed_in') return 'not_signed_in';
    if (status === 'idle' && session) return 'remembered';
    if (isSlow) return status === 'finishing' ? 'slow' : status + '_slow';
    return status;
  }

  return {
    start,
    startOver,
    reload,
    resume,
    findElsewhere,
    recall,
    reloaded,
    checkNow,
    checkStatus,
    reset,
    leave,
    fail,
    emit,
    isUnderWay,
    visibleState,
    status: () => status,
    detail: () => detail,
    id: () => session?.registration_id,
    iframe: iframe.node,
  };
}
