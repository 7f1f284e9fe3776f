// One registration as this page lives through it. The iframe's messages are hints; only the backend's word, which
// `look` asks for, ends in `connected`.
import { backendOf, endpointOf } from './backend.js';
import { counts, frameFor, heightFor, isOn } from './frame.js';
import { recall, remember } from './memory.js';
import { panelFor } from './panels.js';
import { textsOf, wantedBy } from './texts.js';
import { viewOf } from './view.js';

const READY_WITHIN = 20000; // ms for the iframe to say anything; its `load` event proves nothing
const CALM = 15000; // ms between questions while the user works in the iframe
const SLOW_AFTER = 8; // questions after `completed` without a confirmation: about half a minute
const FIRST_HEIGHT = 640;
const UNDER_WAY = 'creating loading in_progress finishing';

export function flowOf(element) {
  const view = viewOf(element, stay, left);
  const backend = backendOf(element);
  let status = 'idle';
  let detail; // of the status: the reason of a failure, the phone number, the code of an error
  let session; // registration_id, iframe_url; later finishing, confirmed
  let frame = null;
  let origin, wish, painting, timer, asked, asking, listeners, interrupted;

  const isModal = () => element.getAttribute('mode') === 'modal';
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
    if (status !== 'idle') return draw();
    session ??= recall(element);
    if (interrupted || element.hasAttribute('autostart')) return start();
    if (session) draw('creating');
    await resume().then(() => draw(), () => draw('idle')); // nothing is known, so nothing is claimed
  }

  /** Asks about the remembered registration. True: that is all there is to do. */
  async function resume() {
    if (!session) return;
    const truth = await ask();
    if (truth.status === 'completed') return confirm(truth);
    if (truth.status === 'expired') return hold();
    return session.finishing && finish();
  }

  // --- the way to a shown iframe -------------------------------------------------------------------------------

  async function start() {
    asking = false;
    if (isUnderWay()) return draw();
    unload();
    move('creating');
    if (isModal()) view.open();
    try {
      origin = element.getAttribute('iframe-origin');
      if (!element.getAttribute('endpoint') || !isOn(origin, origin)) throw 'configuration';
      if (await resume()) return;
      if (!session) await create();
      load();
    } catch (code) {
      fail(code);
    }
  }

  function startOver() {
    hold();
    status = 'idle';
    start();
  }

  async function create() {
    const { registration_id, iframe_url } = await backend.ask('/sessions', { lang: wantedBy(element) });
    hold({ registration_id, iframe_url });
  }

  function load() {
    if (!isOn(origin, session.iframe_url)) {
      hold();
      throw 'bad_iframe_url';
    }
    frame = frameFor(session.iframe_url, textsOf(element).idle);
    wish = FIRST_HEIGHT;
    fit();
    view.box.append(frame);
    move('loading');
    later(block, READY_WITHIN);
  }

  function unload() {
    later();
    cancelAnimationFrame(painting);
    painting = 0;
    backend.drop();
    frame?.remove();
    frame = null;
  }

  // --- what the iframe says ------------------------------------------------------------------------------------

  function heed(event) {
    if (!counts(event, frame, origin, session?.registration_id)) return;
    const { event: name, height, message } = event.data;
    if (status === 'loading' || status === 'blocked') begin();
    if (name === 'height') return grow(height);
    const reason = typeof message === 'string' ? message : '';
    if (status === 'in_progress') takeHint(name, reason);
    emit(name, { message: reason });
  }

  function begin() {
    move('in_progress');
    later(look, CALM);
  }

  function takeHint(name, reason) {
    if (name === 'completed') finish();
    if (name === 'failed' || name === 'cancelled') {
      unload();
      move(name, reason);
      look();
    }
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

  /** A page that comes back to life (network, back/forward cache) does not wait for its turn. */
  function hurry() {
    if (timer && status !== 'loading') look();
    if (status === 'error' && detail === 'offline') start();
  }

  async function look() {
    later();
    const truth = await ask().catch(() => ({})); // without an answer it asks again
    if (truth.status === 'completed') return confirm(truth);
    if (!isUnderWay()) return;
    if (truth.status === 'expired') return expire();
    if (status !== 'finishing') return later(look, CALM);
    if (++asked === SLOW_AFTER) draw();
    later(look, Math.min(CALM, 500 * 1.6 ** asked));
  }

  /** The backend's word; a registration that it does not know, or does not give to this user, is as good as expired. */
  async function ask() {
    const { registration_id: id } = session;
    const truth = await backend.ask('/sessions/' + encodeURIComponent(id)).catch((code) => {
      if (code === 'not_found') return { status: 'expired', registration_id: id };
      throw code;
    });
    if (truth.registration_id === id) return truth;
    throw 'bad_response';
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
    later();
    move('blocked');
    complain('blocked', 'CSP frame-src? COEP?');
  }

  function suspect({ disposition, effectiveDirective, blockedURI }) {
    const isOurs = disposition === 'enforce' && /^(frame|child)-src/.test(effectiveDirective) && isOn(origin, blockedURI);
    if (isOurs && status === 'loading') block();
  }

  /** `cause` is a code, or whatever the host's own `headers` function threw. */
  function fail(cause) {
    unload();
    move('error', typeof cause === 'string' ? cause : 'configuration');
    complain(detail, cause);
  }

  function complain(code, hint) {
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
    asking = !asking && isUnderWay();
    draw();
    return asking;
  }

  function left() {
    const outcome = { connected: 'confirmed', failed: status, cancelled: status }[status] ?? 'closed';
    asking = false;
    if (status === 'blocked' || (isUnderWay() && status !== 'finishing')) {
      unload();
      status = 'idle';
    }
    draw();
    emit('closed', { outcome });
  }

  // --- small hands ---------------------------------------------------------------------------------------------

  function move(to, about) {
    status = to;
    detail = about;
    asking &&= isUnderWay();
    draw();
  }

  function draw(state = variant()) {
    const texts = textsOf(element);
    view.draw(texts, state, panelFor(state, detail, texts, actions()));
  }

  function variant() {
    if (asking) return 'asking';
    if (status === 'idle' && session) return 'remembered';
    return status === 'finishing' && asked >= SLOW_AFTER ? 'slow' : status;
  }

  /** What buttons do, by the names of their texts. */
  const actions = () => ({
    start,
    resume: start,
    retry: start,
    over: startOver,
    another: startOver,
    // `hosted` is on the mount's own page: there, a new tab would show no more.
    tab: !element.hasAttribute('hosted') && (() => window.open(endpointOf(element) + '/', '_blank', 'noopener')),
    close: view.dialog.open && close,
  });

  /** The one thing to do in a while, in place of the one before. */
  function later(work, wait) {
    clearTimeout(timer);
    timer = work && setTimeout(work, wait);
  }

  function hold(known) {
    session = known;
    remember(element, session);
  }

  function emit(name, more) {
    const about = { registration_id: session?.registration_id, ...more };
    element.dispatchEvent(new CustomEvent('ca-embed:' + name, { bubbles: true, detail: about }));
  }

  return { connect, disconnect, draw, start, close, status: () => status, frame: () => frame };
}
