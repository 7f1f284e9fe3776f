// What the user sees: a box with a panel (icon, texts, buttons) and, under way, the iframe.
// In modal mode the box is in a native <dialog>. The browser keeps the focus inside it, makes the page behind inert,
// and gives the focus back.
import { createPart } from './parts.js';
import css from './style.css';

/**
 * `confirmClosing()` is called when the user wants to close the dialog; it returns whether the dialog may close.
 * `onClosed()` is called after it was closed.
 */
export function viewOf(element, { confirmClosing, onClosed }) {
  const title = createPart('p', 'title');
  const text = createPart('p', 'text');
  const buttons = createPart('div', 'actions');
  // Screen readers announce changes only in a live region that stays the same node.
  const announced = createPart('div', '', { role: 'status' }, title, text);
  const panel = createPart('div', 'panel', { tabIndex: -1 }, createPart('span', 'icon'), announced, buttons);
  const box = createPart('div', 'box', {}, panel);

  const heading = new Text();
  // A key pressed inside the iframe never arrives here, so Escape may do nothing: this button is always in sight.
  const closeButton = createPart('button', 'close', { onclick: () => confirmClosing() && dialog.close() });
  const headingBar = createPart('div', 'heading', {}, heading, closeButton);
  const dialog = createPart('dialog', 'dialog', { oncancel, onclose }, headingBar);

  const root = element.attachShadow({ mode: 'open' });
  root.adoptedStyleSheets = [styleSheet()];
  root.append(box, dialog);

  const page = document.documentElement.style;
  let pageOverflow; // the page's own value, while the dialog is open

  /** Shows a panel of panels.js. If the focused button is replaced, the focus stays in the panel. */
  function draw(texts, state, content) {
    const focused = root.activeElement;
    box.lang = dialog.lang = texts.lang;
    box.className = box.part = 'box ' + state;
    dialog.ariaLabel = heading.data = texts.idle;
    closeButton.ariaLabel = texts.close;
    title.textContent = content.title;
    text.textContent = content.text;
    buttons.replaceChildren(...content.buttons.map(createButton));
    if (focused && focused !== root.activeElement) panel.focus();
  }

  const createButton = ({ label, action }) => createPart('button', 'button', { textContent: label, onclick: action });

  function openDialog() {
    if (dialog.open) return;
    dialog.append(box);
    dialog.showModal();
    panel.focus();
    pageOverflow ??= page.overflow;
    page.overflow = 'hidden'; // the page behind does not scroll
  }

  /** Escape, or the back gesture of a phone. */
  function oncancel(event) {
    if (!confirmClosing()) event.preventDefault();
  }

  function onclose() {
    // The event comes late: the dialog may have been opened again, as when the host moves the element.
    if (dialog.open) return;
    page.overflow = pageOverflow;
    pageOverflow = undefined;
    root.prepend(box);
    if (document.activeElement === document.body) panel.focus(); // the button that opened the dialog is gone
    onClosed();
  }

  return { box, dialog, draw, openDialog };
}

let sharedSheet;

/** A policy of `style-src 'self'` forbids <style> and style attributes. It allows adopted style sheets. */
function styleSheet() {
  if (!sharedSheet) {
    sharedSheet = new CSSStyleSheet();
    sharedSheet.replaceSync(css);
  }
  return sharedSheet;
}
