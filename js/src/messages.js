// Which messages count as messages of the element's own iframe.

const TYPE = 'ca.whatsapp.registration';
const EVENTS = ['ready', 'height', 'phone_verified', 'facebook_started', 'completed', 'failed', 'cancelled'];

/** Whether the message event comes from this iframe, has the agreed form and is about this registration. */
export function isOwnMessage({ isTrusted, origin, source, data }, iframe, expected) {
  // A script in the host's page can dispatch a message event with any origin and source. It is never trusted.
  if (!isTrusted || origin !== expected.origin) return false;
  // `source` is null if the sender's iframe was removed meanwhile. The `contentWindow` of a removed iframe is
  // null too, so comparing the two is not enough.
  if (!source || source !== iframe.contentWindow) return false;
  return data?.type === TYPE && data.registration_id === expected.registrationId && EVENTS.includes(data.event);
}
