// What the user sees: a box with a panel (icon, words, buttons) and, under way, the iframe; in modal mode the box
// stands in a native <dialog>. The browser then keeps focus inside, makes the page inert and gives focus back.
import css from './style.css';

let sheet;

/** An element that hosts can style: its part and its class have one name. Text is set as text, never parsed. */
export function make(tag, part, properties, ...children) {
  const node = Object.assign(document.createElement(tag), { className: part, part }, properties);
  node.append(...children);
  return node;
}

/**
 * `stay()` is asked when the user wants to leave the dialog, true keeps it open; `left()` is told when it is closed.
 * Escape pressed inside the iframe never arrives here, so the cross stays in sight.
 */
export function viewOf(element, stay, left) {
  const title = make('p', 'title');
  const text = make('p', 'text');
  const actions = make('div', 'actions');
  const words = make('div', '', { role: 'status' }, title, text);
  const panel = make('div', 'panel', { tabIndex: -1 }, make('span', 'icon'), words, actions);
  const box = make('div', 'box', {}, panel);
  const heading = new Text();
  const cross = make('button', 'close', { onclick: () => stay() || dialog.close() });
  const dialog = make('dialog', 'dialog', { oncancel, onclose }, make('div', 'heading', {}, heading, cross));
  const root = element.attachShadow({ mode: 'open' });
  const page = document.documentElement.style;
  let overflow;

  if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(css);
  root.adoptedStyleSheets = [sheet];
  root.append(box, dialog);

  /** Draws a panel of panels.js. Focus on a button that goes away stays in the panel. */
  function draw(texts, state, [name, line, buttons]) {
    const focused = root.activeElement;
    box.lang = dialog.lang = texts.lang;
    box.className = box.part = 'box ' + state;
    dialog.ariaLabel = heading.data = texts.idle;
    cross.ariaLabel = texts.close;
    title.textContent = name;
    text.textContent = line;
    actions.replaceChildren(...buttons.map(button));
    if (focused && focused !== root.activeElement) panel.focus();
  }

  const button = ([textContent, onclick]) => make('button', 'button', { textContent, onclick });

  function open() {
    if (dialog.open) return;
    dialog.append(box);
    dialog.showModal();
    panel.focus();
    overflow ??= page.overflow;
    page.overflow = 'hidden';
  }

  function oncancel(event) {
    if (stay()) event.preventDefault();
  }

  function onclose() {
    if (dialog.open) return; // closed and opened again before this event came
    page.overflow = overflow;
    overflow = undefined;
    root.prepend(box);
    if (document.activeElement === document.body) panel.focus(); // the button that opened it is gone
    left();
  }

  return { box, dialog, draw, open };
}
