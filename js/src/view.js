// What the user sees: a box with a panel (icon, texts, buttons) and, under way, the iframe.
// In modal mode the box is in a native <dialog>. The browser keeps the focus inside it, makes the page behind inert,
// and gives the focus back.
import { needsSheet } from './height.js';
import { createPart } from './parts.js';
import css from './style.css';

const SVG = 'http://www.w3.org/2000/svg';

/**
 * `confirmClosing()` is called when the user wants to close the dialog; it returns whether the dialog may close.
 * `onClosed()` is called after it was closed, `onHelp()` when the user asks for help.
 */
export function viewOf(element, { confirmClosing, onClosed, onHelp }) {
  const icon = document.createElementNS(SVG, 'svg');
  const path = icon.appendChild(document.createElementNS(SVG, 'path'));
  icon.setAttribute('viewBox', '0 0 24 24');
  const title = createPart('p', 'title');
  const text = createPart('p', 'text', { dir: 'auto' }); // a phone number, or a reason in any language
  const buttons = createPart('div', 'actions');
  const reference = createPart('p', 'reference');
  // Screen readers announce changes only in a live region that stays the same node.
  const announced = createPart('div', '', { role: 'status' }, title, text);
  const badge = createPart('span', 'icon', { ariaHidden: true }, icon);
  const panel = createPart('div', 'panel', { tabIndex: -1 }, badge, announced, buttons, reference);
  const help = createPart('button', 'quiet', { onclick: onHelp });
  const box = createPart('div', 'box', {}, panel, help);

  const heading = createPart('span', 'name');
  // A key pressed inside the iframe never arrives here, so Escape may do nothing: this button is always in sight.
  const closeButton = createPart('button', 'close', { onclick: () => confirmClosing() && close() }, '×');
  const headingBar = createPart('div', 'heading', {}, heading, closeButton);
  const dialog = createPart('dialog', 'dialog', { oncancel, onclose: close }, headingBar);

  const root = shadowOf(element);
  const stand = shadowOf(document.createElement('ca-embed-dialog'));
  root.append(box, dialog);

  const page = document.documentElement.style;
  let isShown = false; // the dialog
  let pageOverflow; // the page's own value, while the dialog is open

  /** Shows a panel of panels.js. The focus stays in the panel if what had it is gone. */
  function draw(texts, state, content, actions, id) {
    const focused = box.getRootNode().activeElement;
    for (const each of [box, dialog]) Object.assign(each, { lang: texts.lang, dir: texts.dir });
    box.className = box.part = `box ${state} ${content.kind}`;
    dialog.ariaLabel = heading.textContent = texts.idle;
    closeButton.ariaLabel = texts.close;
    help.textContent = texts.help;
    path.setAttribute('d', content.icon);
    title.textContent = content.title;
    text.textContent = content.text;
    reference.textContent = id && content.kind === 'bad' ? 'ID: ' + id.slice(0, 8) : '';
    const offered = content.buttons.filter((name) => actions[name]);
    buttons.replaceChildren(...offered.map((name, index) => createButton(name, index, texts[name], actions[name])));
    if (focused && !focused.checkVisibility({ visibilityProperty: true })) panel.focus();
  }

  /** The first button is the main one, but another number never is. `action` is a function, or the URL of a link. */
  function createButton(name, index, textContent, action) {
    const part = 'button ' + (index || name === 'another' ? 'secondary' : 'primary');
    if (action.call) return createPart('button', part, { textContent, onclick: action });
    return createPart('a', part, { textContent, href: action, target: '_blank' });
  }

  function openDialog() {
    if (isShown) return;
    isShown = true;
    dialog.append(box);
    show();
    // An element inside `hidden`, `display: none` or `inert` shows nothing. Then the dialog stands in the body.
    if (box.getRootNode().activeElement !== panel) {
      dialog.close();
      stand.append(dialog);
      document.body.append(stand.host);
      show();
    }
    pageOverflow = page.overflow;
    page.overflow = 'hidden'; // the page behind does not scroll
    fit();
  }

  function show() {
    dialog.showModal();
    panel.focus();
  }

  /** In a small window the dialog is a sheet, and leaves room for the keyboard of a phone. */
  function fit() {
    const { height, offsetTop, scale } = visualViewport;
    const follows = dialog.classList.toggle('sheet', needsSheet()) && scale < 1.1; // not if the user magnifies
    dialog.style.height = follows ? height + 'px' : '';
    dialog.style.top = follows ? offsetTop + 'px' : '';
  }

  /** Escape, or the back gesture of a phone. */
  function oncancel(event) {
    if (!confirmClosing()) event.preventDefault();
  }

  /** Also runs when the browser has closed the dialog. That event comes late: it may be shown again, or put away. */
  function close(event) {
    if (!isShown || (event && dialog.open)) return;
    isShown = false;
    dialog.close();
    page.overflow = pageOverflow;
    root.append(box, dialog);
    stand.host.remove();
    if (document.activeElement === document.body) panel.focus(); // the button that opened the dialog is gone
    onClosed();
  }

  /** The browser closes a modal that is moved in the page, and leaves it open as no modal. */
  function reopen() {
    if (!isShown || dialog.matches(':modal')) return;
    dialog.close();
    dialog.showModal();
  }

  return { box, draw, openDialog, close, reopen, fit, isShown: () => isShown };
}

let sheet;

/** A policy of `style-src 'self'` forbids <style> and style attributes. It allows adopted style sheets. */
function shadowOf(host) {
  if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(css);
  const root = host.attachShadow({ mode: 'open' });
  root.adoptedStyleSheets = [sheet];
  return root;
}
