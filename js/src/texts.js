// The element's own words. build.mjs packs texts/*.json into `languages` (code → one string, texts
// separated by "|" in the order of `names`), because five objects with the same keys cost half a kilobyte.
import { languages, names } from 'packed:texts';

/** The language an element speaks: its `lang`, else the page's, else the browser's; unknown ones fall back to English. */
export function languageOf(element) {
  const wanted = element.lang || document.documentElement.lang || navigator.language;
  const base = wanted.toLowerCase().split('-')[0];
  return base in languages ? base : 'en';
}

/** Every text by name; the host's `CAEmbed.texts[language]` and the element's own `texts` win. */
export function textsOf(element, language = languageOf(element)) {
  const texts = {};
  languages[language].split('|').forEach((text, index) => (texts[names[index]] = text));
  return { ...texts, ...window.CAEmbed.texts[language], ...element.texts };
}
