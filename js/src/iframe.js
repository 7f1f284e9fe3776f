// The iframe: loads it, notices that it is blocked, receives its messages, sets its height.
import { allowedHeight, needsSheet } from './height.js';
import { isOwnMessage } from './messages.js';
import { hasOrigin } from './origin.js';
import { createPart, listen } from './parts.js';

const READY_TIMEOUT = 20000; // ms
const FIRST_HEIGHT = 640; // px

/**
 * `isModal()` decides which limits the height has. `onMessage(data)` is called with each message that counts,
 * `onHeight(height)` with each applied height, and `onBlocked()` if the iframe cannot be shown.
 */
export function iframeOf({ isModal, onMessage, onHeight, onBlocked }) {
  let iframe = null;
  let expected; // see `load`
  let listeners; // an AbortController: aborting it removes all listeners on window
  let readyTimer;
  let requestedHeight;
  let animationFrame;

  /** `messages` has the `origin` and the `registrationId` of the messages that count. */
  function load(parent, url, title, messages) {
    remove();
    iframe = createIframe(url, title);
    expected = messages;
    requestedHeight = FIRST_HEIGHT;
    applyHeight();
    addListeners();
    parent.append(iframe);
    expectReady();
  }

  /** Only a message proves that the page is shown: the browser fires `load` for blocked and failed pages too. */
  function expectReady() {
    stopWaitingForReady();
    readyTimer = setTimeout(reportBlocked, READY_TIMEOUT);
  }

  function remove() {
    listeners?.abort();
    stopWaitingForReady();
    cancelAnimationFrame(animationFrame);
    animationFrame = undefined;
    iframe?.remove();
    iframe = null;
  }

  function addListeners() {
    listeners = new AbortController();
    const { signal } = listeners;
    listen(window, 'message', receive, signal);
    listen(window, 'resize', applyHeight, signal);
    listen(window, 'securitypolicyviolation', checkViolation, signal);
  }

  /** A blocked iframe may still answer late, after a slow start. Its message counts like any other. */
  function receive(event) {
    if (!isOwnMessage(event, iframe, expected)) return;
    stopWaitingForReady();
    onMessage(event.data);
  }

  /** If the page's own policy refuses the iframe, this event comes at once, long before the timeout. */
  function checkViolation({ disposition, effectiveDirective, blockedURI }) {
    const isEnforced = disposition === 'enforce'; // a policy in report-only mode blocks nothing
    const isAboutFrames = /^(frame|child)-src/.test(effectiveDirective);
    if (readyTimer && isEnforced && isAboutFrames && hasOrigin(blockedURI, expected.origin)) reportBlocked();
  }

  function reportBlocked() {
    stopWaitingForReady();
    onBlocked();
  }

  function stopWaitingForReady() {
    clearTimeout(readyTimer);
    readyTimer = undefined;
  }

  /** The iframe may request thousands of heights. They are applied at most once per animation frame. */
  function requestHeight(height) {
    if (!Number.isFinite(height)) return;
    requestedHeight = height;
    animationFrame ??= requestAnimationFrame(() => {
      animationFrame = undefined;
      onHeight(applyHeight());
    });
  }

  /** Also runs on `resize`, because the height of a modal depends on the window. Returns the applied height. */
  function applyHeight() {
    const height = allowedHeight(requestedHeight, isModal());
    iframe.style.height = height + 'px';
    return isModal() && needsSheet() ? iframe.clientHeight : height;
  }

  return { load, remove, expectReady, requestHeight, node: () => iframe };
}

/** The permissions are the ones that the guide names for the form and for Meta's signup. */
const createIframe = (src, title) =>
  createPart('iframe', 'iframe', {
    title,
    allow: 'clipboard-write; encrypted-media; fullscreen',
    referrerPolicy: 'strict-origin',
    sandbox: 'allow-scripts allow-forms allow-same-origin allow-popups allow-popups-to-escape-sandbox',
    src,
  });
