// One registration as this page lives through it. The iframe's messages are hints; only the backend's word, which
// `look` asks for, ends in `connected`.
import { backendOf, endpointOf } from './backend.js';
import { counts, frameFor, heightFor, isOn } from './frame.js';
import { recall, remember } from './memory.js';
import { panelFor } from './panels.js';
import { languageOf, textsOf } from './texts.js';
import { viewOf } from './view.js';

const READY_WITHIN = 20000; // ms for the iframe to say anything; its `load` event proves nothing
const CALM = 15000; // ms between questions while the user works in the iframe
const SLOW_AFTER = 8; // questions after `completed` without a confirmation: about half a minute
const FIRST_HEIGHT = 640;
const UNDER_WAY = ['creating', 'loading', 'in_progress', 'finishing'];

export function flowOf(element) {
  const view = viewOf(element, stay, left);
  const backend = backendOf(element);
  let status = 'idle';
  let detail; // of the status: reason, phone, code, address, or whether it is slow
  let session; // registration_id, iframe_url; later finishing, confirmed
  let frame, origin, wish, painting, deadline, next, asked, asking, listeners, interrupted;

  const attribute = (name) => element.getAttribute(name);
  const isModal = () => attribute('mode') === 'modal';
  const isUnderWay = () => UNDER_WAY.includes(status);

  // --- in the page ---------------------------------------------------------------------------------------------

  function connect() {
    listeners = new AbortController();
    const { signal } = listeners;
    const on = (type, listener) => window.addEventListener(type, listener, { signal });
    on('message', heed);
    on('resize', fit);
    on('online', hurry);
    on('pageshow', hurry);
    on('securitypolicyviolation', suspect);
    queueMicrotask(() => signal.aborted || wake()); // by then the host has set all attributes
  }

  function disconnect() {
    listeners.abort();
    interrupted = isUnderWay();
    unload();
    if (interrupted) status = 'idle';
    view.dialog.close();
  }

  /** Goes on where a removal or an earlier visit of this tab left off, if the backend says that it is still so. */
  async function wake() {
    if (status === 'idle' && (interrupted || element.hasAttribute('autostart'))) return start();
    if (status === 'idle' && recall(element)) {
      draw('creating');
      await resume().catch(() => (session = undefined)); // nothing is known, so nothing is claimed
    }
    draw();
  }

  /** Asks about the remembered registration. True: that is all there is to do. */
  async function resume() {
    session ??= recall(element);
    if (!session) return;
    const truth = await ask().catch((code) => {
      if (code !== 'not_found') throw code;
      return {};
    });
    if (truth.status === 'completed') return confirm(truth);
    if (!truth.status || truth.status === 'expired') return hold();
    return session.finishing && finish();
  }

  // --- the way to a shown iframe -------------------------------------------------------------------------------

  async function start() {
    if (isUnderWay()) return;
    unload();
    move('creating');
    if (isModal()) view.open();
    try {
      origin = attribute('iframe-origin');
      if (!attribute('endpoint') || !isOn(origin, origin)) throw 'configuration';
      if (await resume()) return;
      if (!session) await create();
      load();
    } catch (code) {
      fail(code);
    }
  }

  function startOver() {
    unload();
    hold();
    status = 'idle';
    start();
  }

  async function create() {
    const { registration_id, iframe_url } = await backend.ask('/sessions', { lang: languageOf(element) });
    hold({ registration_id, iframe_url });
  }

  function load() {
    const { iframe_url } = session;
    if (!isOn(origin, iframe_url)) {
      hold();
      throw 'bad_iframe_url';
    }
    frame = frameFor(iframe_url, textsOf(element).idle);
    wish = FIRST_HEIGHT;
    fit();
    view.box.append(frame);
    move('loading');
    deadline = setTimeout(block, READY_WITHIN);
    lookIn(CALM);
  }

  function unload() {
    clearTimeout(deadline);
    clearTimeout(next);
    cancelAnimationFrame(painting);
    next = painting = 0;
    asking = false;
    backend.drop();
    frame?.remove();
    frame = undefined;
  }

  // --- what the iframe says ------------------------------------------------------------------------------------

  function heed(event) {
    if (!counts(event, frame, origin, session?.registration_id)) return;
    const { event: name, height, message } = event.data;
    if (status === 'loading' || status === 'blocked') begin();
    if (name === 'height') return grow(height);
    const reason = typeof message === 'string' ? message : '';
    if (status === 'in_progress') takeHint(name, reason);
    emit(name, name === 'failed' ? { message: reason } : {});
  }

  function begin() {
    clearTimeout(deadline);
    move('in_progress');
    lookIn(CALM);
  }

  function takeHint(name, reason) {
    if (name === 'completed') finish();
    if (name !== 'failed' && name !== 'cancelled') return;
    unload();
    move(name, reason);
    look();
  }

  /** However many heights arrive, the page is laid out once in an animation frame. */
  function grow(height) {
    if (!heightFor(height)) return;
    wish = height;
    painting ||= requestAnimationFrame(() => {
      painting = 0;
      emit('height', { height: fit() });
    });
  }

  function fit() {
    const height = heightFor(wish, isModal());
    if (frame) frame.style.height = height + 'px';
    return height;
  }

  // --- what the backend says -----------------------------------------------------------------------------------

  function finish() {
    asked = 0;
    hold({ ...session, finishing: true });
    move('finishing');
    look();
    return true;
  }

  function lookIn(wait) {
    clearTimeout(next);
    next = setTimeout(look, wait);
  }

  /** A page that comes back to life (network, back/forward cache) does not wait for its turn. */
  function hurry() {
    if (next) look();
    else if (detail === 'offline') start();
  }

  async function look() {
    clearTimeout(next);
    const isFinishing = status === 'finishing';
    const truth = await ask().catch((code) => ({ code }));
    if (truth.status === 'completed') return confirm(truth);
    if (!isUnderWay()) return;
    if (truth.code === 'not_found' || (truth.code === 'not_signed_in' && isFinishing)) return fail(truth.code);
    if (truth.status === 'expired') return expire();
    if (isFinishing && ++asked === SLOW_AFTER) move(status, true);
    lookIn(isFinishing ? Math.min(CALM, 500 * 1.6 ** asked) : CALM);
  }

  async function ask() {
    const { registration_id: id } = session;
    const truth = await backend.ask('/sessions/' + encodeURIComponent(id));
    if (truth.registration_id !== id) throw 'bad_response';
    return truth;
  }

  // --- how it ends ---------------------------------------------------------------------------------------------

  function confirm({ phone }) {
    const isNews = !session.confirmed;
    unload();
    hold({ ...session, confirmed: true });
    move('connected', phone && '+' + phone);
    if (isNews) emit('confirmed');
    return true;
  }

  function expire() {
    unload();
    hold();
    move('expired');
  }

  /** No word from the iframe: refused by a policy, a blocker or the network. Should it speak later, `heed` goes on. */
  function block() {
    clearTimeout(next);
    clearTimeout(deadline);
    const page = endpointOf(element) + '/';
    move('blocked', page !== location.origin + location.pathname && page);
    complain('blocked', `do CSP frame-src and COEP allow ${origin}?`);
  }

  function suspect({ disposition, effectiveDirective, blockedURI }) {
    const isOurs = disposition === 'enforce' && /^(frame|child)-src/.test(effectiveDirective) && isOn(origin, blockedURI);
    if (isOurs && status === 'loading') block();
  }

  function fail(code) {
    unload();
    if (code === 'not_found') hold();
    move('error', code);
    complain(code);
  }

  function complain(code, hint = '') {
    console.error('ca-embed:', code, hint);
    emit('error', { code });
  }

  // --- the modal -----------------------------------------------------------------------------------------------

  function close() {
    if (view.dialog.open) view.dialog.close();
    else left();
  }

  /** Asked to leave: the first time under way it asks back, and stays. */
  function stay() {
    const isQuestion = !asking && isUnderWay();
    asking = isQuestion;
    draw();
    return isQuestion;
  }

  function left() {
    const outcome = { connected: 'confirmed', failed: status, cancelled: status }[status] ?? 'closed';
    asking = false;
    if (status !== 'finishing' && (isUnderWay() || status === 'blocked')) {
      unload();
      status = 'idle';
    }
    draw();
    element.dispatchEvent(new CustomEvent('close', { detail: { outcome, registration_id: session?.registration_id } }));
  }

  // --- small hands ---------------------------------------------------------------------------------------------

  function move(to, about) {
    status = to;
    detail = about;
    asking &&= isUnderWay();
    draw();
  }

  function draw(state = asking ? 'asking' : status) {
    const isOpen = view.dialog.open;
    const panel = panelFor(state, textsOf(element), { session, detail, isOpen, start, startOver, stay, close });
    view.draw(status, languageOf(element), textsOf(element), panel);
  }

  function hold(known) {
    session = known;
    remember(element, session);
  }

  function emit(name, more) {
    const about = { registration_id: session?.registration_id, ...more };
    element.dispatchEvent(new CustomEvent('ca-embed:' + name, { bubbles: true, detail: about }));
  }

  return { connect, disconnect, draw, start, close, status: () => status, frame: () => frame ?? null };
}
