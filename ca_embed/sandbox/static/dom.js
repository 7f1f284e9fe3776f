// Creates elements. Texts are set as text, never parsed as HTML.

/** Returns an element with this tag, properties and children (elements, texts, or null). */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Returns a button that calls `act`. */
export function button(label, act, { disabled = false } = {}) {
  const element = make("button", { className: "button plain small", type: "button", disabled }, label);
  element.addEventListener("click", act);
  return element;
}
