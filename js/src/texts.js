// The element's texts, one table per language, and the choice of the language.
import de from './texts/de.json';
import en from './texts/en.json';
import es from './texts/es.json';
import pt from './texts/pt.json';
import ru from './texts/ru.json';

const LANGUAGES = { de, en, es, pt, ru };

/** The language asked for: the element's `lang`, else the page's, else the browser's. */
export const requestedLanguage = (element) => element.lang || document.documentElement.lang || navigator.language;

/**
 * All texts by name, and `lang`, the language they are in. `pt-BR` and `pt_BR` are `pt`. An unknown language is
 * English, as in the backend. The host's `CAEmbed.texts[lang]` and the element's `texts` replace our own.
 */
export function textsOf(element) {
  const base = requestedLanguage(element).trim().toLowerCase().split(/[-_]/)[0];
  const lang = Object.hasOwn(LANGUAGES, base) ? base : 'en'; // hasOwn: `lang` may be "constructor"
  // No prototype: error codes from the backend are looked up here, and one may be "constructor" too.
  return { __proto__: null, lang, ...LANGUAGES[lang], ...window.CAEmbed.texts[lang], ...element.texts };
}
