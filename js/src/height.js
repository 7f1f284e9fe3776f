// How high the iframe may be, in pixels.

const LOWEST = 480;
const HIGHEST_INLINE = 10000;
const ROOM_AROUND_MODAL = 220;

/**
 * The height to apply for a requested one.
 * In a low window the limits of a modal contradict each other: then the window's wins. It is never negative.
 */
export function allowedHeight(requested, isModal) {
  const highest = isModal ? window.innerHeight - ROOM_AROUND_MODAL : HIGHEST_INLINE;
  return Math.max(0, Math.min(highest, Math.max(LOWEST, Math.ceil(requested))));
}
