// The element's own words, from texts/*.json. build.mjs packs each language into one string (`pack` there says how),
// because five objects with the same keys cost half a kilobyte more.
import { languages, names } from 'packed:texts';

/** The language that is asked for: the element's `lang`, else the page's, else the browser's. */
export const wantedBy = (element) => element.lang || document.documentElement.lang || navigator.language;

/**
 * Every text by name, and `lang`, the language that they are in: the base of what is wanted, else English, as the
 * backend has it. The host's `CAEmbed.texts[language]` and the element's own `texts` win.
 */
export function textsOf(element) {
  const base = wantedBy(element).trim().toLowerCase().split(/[-_]/)[0];
  const lang = Object.hasOwn(languages, base) ? base : 'en';
  const texts = { __proto__: null, lang }; // looked into by codes of the backend, too
  unpack(lang).forEach((text, index) => (texts[names[index]] = text));
  return Object.assign(texts, window.CAEmbed.texts[lang], element.texts);
}

const unpack = (lang) =>
  (lang === 'ru' ? languages[lang].replace(/[@-\x7f]/g, toCyrillic) : languages[lang]).replace(/\$/g, 'WhatsApp').split('/');

const toCyrillic = (letter) => String.fromCharCode(letter.charCodeAt() + 976);
