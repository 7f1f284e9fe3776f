// DOM elements that the host's page can style.

/** Creates an element whose class and `::part()` have the same name. Text is always set as text, never as markup. */
export function createPart(tag, part, properties, ...children) {
  const node = Object.assign(document.createElement(tag), { className: part, part }, properties);
  node.append(...children);
  return node;
}

/** Listens to several events, until the signal is aborted. */
export function listen(target, names, listener, signal) {
  for (const name of names.split(' ')) target.addEventListener(name, listener, { signal });
}
