// Building elements. Texts are set as text; nothing here parses HTML.

/** Makes an element from its tag, its properties and its children: elements, texts, or null. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Makes a button that does something. */
export function button(label, act, { disabled = false } = {}) {
  const element = make("button", { className: "button plain small", type: "button", disabled }, label);
  element.addEventListener("click", act);
  return element;
}
