// Bundles src/ into the one file that users load: ca_embed/assets/ca-embed.js.
//   node build.mjs          writes it
//   node build.mjs --check  fails if the file in the repository is not what src/ gives
import { build, transform } from 'esbuild';
import { minify } from 'terser';
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';

const LIMIT = 9000; // bytes after gzip -9 -n
const here = (path) => new URL(path, import.meta.url).pathname;
const output = here('../ca_embed/assets/ca-embed.js');

/** Imports a style sheet as text. esbuild's own loader would leave the comments and spaces in it. */
const styleSheets = {
  name: 'style-sheets',
  setup(build) {
    build.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, 'utf8'), { loader: 'css', minify: true, charset: 'utf8' });
      return { contents: code.trim(), loader: 'text' };
    });
  },
};

/** Swaps Cyrillic letters, of two bytes each, with ASCII. texts.js swaps them back. */
const swapped = (text) =>
  text.replace(/[>-}А-я]/g, (each) => String.fromCharCode(each.charCodeAt() + (each < '~' ? 978 : -978)));

/** Imports the table of texts without its notes: the names, and for each language its texts in that order. */
const texts = {
  name: 'texts',
  setup(build) {
    build.onLoad({ filter: /texts\.json$/ }, async ({ path }) => {
      const table = JSON.parse(await readFile(path, 'utf8'));
      const joined = (parts) => {
        if (parts.some((part) => !part || part.includes('/'))) throw new Error('a text is empty or has a slash');
        return parts.join('/');
      };
      const packed = { names: joined(Object.keys(table)) };
      for (const lang of ['de', 'en', 'es', 'pt', 'ru']) packed[lang] = joined(Object.values(table).map((row) => row[lang]));
      packed.ru = swapped(packed.ru);
      return { contents: JSON.stringify(packed), loader: 'json' };
    });
  },
};

// Names that the modules use among themselves. They become short. One that is missing here costs some bytes only.
const INTERNAL = [
  ...['isModal', 'onMessage', 'onHeight', 'onBlocked', 'onChange', 'onClosed', 'onHelp', 'confirmClosing'],
  ...['load', 'expectReady', 'requestHeight', 'registrationId', 'node', 'box', 'draw', 'openDialog', 'reopen', 'isShown'],
  ...['checkLater', 'checkSoon', 'createSession', 'fetchStatus', 'fetchAll', 'reportStep'],
  ...['startOver', 'findElsewhere', 'recall', 'reloaded', 'checkNow', 'checkStatus', 'leave', 'fail', 'emit'],
  ...['isUnderWay', 'visibleState', 'kind', 'actions', 'names', 'icon', 'buttons'],
];

const { outputFiles } = await build({
  entryPoints: [here('src/index.js')],
  bundle: true,
  format: 'iife', // works as a classic script and as a module
  target: 'es2022',
  charset: 'utf8',
  plugins: [styleSheets, texts],
  write: false,
});
const minified = await minify(outputFiles[0].text, {
  ecma: 2022,
  module: true, // everything is inside one function
  compress: { passes: 3, unsafe_arrows: true, unsafe_methods: true, pure_getters: true, unsafe: true, inline: 1 },
  mangle: { properties: { regex: new RegExp(`^(${INTERNAL.join('|')})$`) } },
  format: { ecma: 2022 },
});
const code = minified.code + '\n';
const size = execFileSync('gzip', ['-9', '-n'], { input: code }).length;
if (size > LIMIT) throw new Error(`ca-embed.js is ${size} bytes gzipped, more than ${LIMIT}`);
if (process.argv.includes('--check')) {
  if ((await readFile(output, 'utf8')) !== code) throw new Error('ca-embed.js is not current: run "npm --prefix js run build"');
} else {
  await writeFile(output, code);
}
console.log(`ca-embed.js: ${code.length} characters, ${size} bytes gzipped`);
