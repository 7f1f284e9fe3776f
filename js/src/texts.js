// The element's texts, and the choice of the language.
import table from './texts.json'; // see build.mjs: `names`, and for each language its texts in that order

const { names, ...languages } = table;
// The build has swapped Cyrillic letters with ASCII: two bytes for each would be a part of the file.
languages.ru = languages.ru.replace(/[>-}А-я]/g, (each) =>
  String.fromCharCode(each.charCodeAt() + (each < '~' ? 978 : -978)),
);

/** Our own texts of a language, by name. */
const ownTexts = (lang) => {
  const texts = (languages[lang] ?? languages.en).split('/');
  return Object.fromEntries(names.split('/').map((name, n) => [name, texts[n]]));
};

/** The language asked for: the element's `lang`, else the page's, else the browser's. */
export const requestedLanguage = (element) => element.lang || document.documentElement.lang || navigator.language;

/**
 * All texts by name, and `lang` and `dir`, the language they are in and its direction (the host gives `dir: 'rtl'`). `pt-BR` and `pt_BR` are `pt`. A
 * language that neither we nor the host's `CAEmbed.texts` have is English, as in the backend. The host's texts replace
 * our own.
 */
export function textsOf(element) {
  const base = requestedLanguage(element).trim().toLowerCase().split(/[-_]/)[0];
  const added = window.CAEmbed.texts;
  const lang = [languages, added].some((each) => Object.hasOwn(each, base)) ? base : 'en'; // not "constructor"
  // No prototype: error codes from the backend are looked up here, and one may be "constructor" too.
  return { __proto__: null, lang, dir: 'ltr', ...ownTexts(lang), ...added[lang], ...element.texts };
}
