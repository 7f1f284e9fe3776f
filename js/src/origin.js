// Which URLs may be loaded in the iframe.

const SECURE = /^https:|^http:\/\/(localhost|127\.0\.0\.1|\[::1])[:/]/;

/**
 * Whether `url` has exactly this origin and is secure: https, or http on a loopback host.
 * The scheme is checked as well, because a `blob:` URL has the origin of the page that made it.
 */
export function hasOrigin(url, origin) {
  try {
    const parsed = new URL(url);
    return parsed.origin === origin && SECURE.test(parsed.href);
  } catch {
    return false; // not a URL
  }
}
