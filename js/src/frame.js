// The iframe: which address may be loaded, what it may do, which of its messages count, how high it may be.
import { make } from './view.js';

const EVENTS = 'ready height phone_verified facebook_started completed failed cancelled'.split(' ');
const LOWEST = 480;
const HIGHEST_INLINE = 10000;
const ROOM_AROUND_MODAL = 220;

/** Is `url` on exactly this origin, by https, or by http on a loopback host? (A blob: has the origin, not the scheme.) */
export function isOn(origin, url) {
  try {
    const { origin: actual, href } = new URL(url);
    return actual === origin && /^https:|^http:\/\/(localhost|127\.0\.0\.1|\[::1])[:/]/.test(href);
  } catch {
    return false;
  }
}

/** The permissions are those the guide names as needed by the form and by Meta's signup. */
export const frameFor = (src, title) =>
  make('iframe', 'iframe', {
    title,
    allow: 'clipboard-write; encrypted-media; fullscreen',
    referrerPolicy: 'strict-origin',
    sandbox: 'allow-scripts allow-forms allow-same-origin allow-popups allow-popups-to-escape-sandbox',
    src,
  });

/**
 * Does the message count? It was sent by a browser, not by a script of this page; from our origin; from our own
 * frame (never null: the window of a removed frame and the source of its late message both are); it is of our type,
 * one of our events, about our registration.
 */
export const counts = ({ isTrusted, origin, source, data }, frame, ours, id) =>
  isTrusted &&
  origin === ours &&
  source &&
  source === frame?.contentWindow &&
  data?.type === 'ca.whatsapp.registration' &&
  data.registration_id === id &&
  EVENTS.includes(data.event);

/** Pixels for a wished height; undefined for what is no finite number. The viewport of a modal wins, down to nothing. */
export function heightFor(wish, isModal) {
  const highest = isModal ? innerHeight - ROOM_AROUND_MODAL : HIGHEST_INLINE;
  if (Number.isFinite(wish)) return Math.max(0, Math.min(highest, Math.max(LOWEST, Math.ceil(wish))));
}
