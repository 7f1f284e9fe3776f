// The element's own words, from texts/*.json. build.mjs packs each language into one string (`pack` there says how),
// because five objects with the same keys cost half a kilobyte more.
import { languages, names } from 'packed:texts';

/** The language an element speaks: its `lang`, else the page's, else the browser's; unknown ones fall back to English. */
export function languageOf(element) {
  const wanted = element.lang || document.documentElement.lang || navigator.language;
  const base = wanted.toLowerCase().split('-')[0];
  return base in languages ? base : 'en';
}

/** Every text by name, and `lang`; the host's `CAEmbed.texts[language]` and the element's own `texts` win. */
export function textsOf(element) {
  const lang = languageOf(element);
  const texts = { lang };
  unpack(lang).forEach((text, index) => (texts[names[index]] = text));
  return { ...texts, ...window.CAEmbed.texts[lang], ...element.texts };
}

const unpack = (lang) =>
  (lang === 'ru' ? languages.ru.replace(/[@-\x7f]/g, toCyrillic) : languages[lang]).replaceAll('$', 'WhatsApp').split('/');

const toCyrillic = (letter) => String.fromCharCode(letter.charCodeAt() + 976);
