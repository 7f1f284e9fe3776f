// How high the iframe may be, in pixels.

const LOWEST = 480;
const HIGHEST_INLINE = 10000;
const ROOM_AROUND_MODAL = 220;

/** Whether a modal has to fill the whole window, because the window is too small for a dialog. */
export const needsSheet = () => innerHeight < 700 || innerWidth < LOWEST;

/** The height to apply for a requested one. In a sheet the layout decides: the iframe gets all that is left. */
export function allowedHeight(requested, isModal) {
  const highest = isModal ? innerHeight - ROOM_AROUND_MODAL : HIGHEST_INLINE;
  return Math.min(highest, Math.max(LOWEST, Math.ceil(requested)));
}
