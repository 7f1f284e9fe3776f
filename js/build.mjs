// Bundles src/ into the one file that users load: ca_embed/assets/ca-embed.js.
//   node build.mjs          writes it
//   node build.mjs --check  fails if the file in the repository is not what src/ gives
import { build, transform } from 'esbuild';
import { minify } from 'terser';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';

const LIMIT = 6000; // bytes after gzip -9 -n
const here = (path) => new URL(path, import.meta.url).pathname;
const output = here('../ca_embed/assets/ca-embed.js');

async function packedTexts() {
  const files = (await readdir(here('src/texts'))).sort();
  const tables = {};
  for (const file of files) tables[file.slice(0, 2)] = JSON.parse(await readFile(here(`src/texts/${file}`), 'utf8'));
  const names = Object.keys(tables.en);
  const languages = {};
  for (const [code, table] of Object.entries(tables)) {
    if (Object.keys(table).join() !== names.join()) throw new Error(`texts/${code}.json: not the names of en.json, in its order`);
    languages[code] = pack(Object.values(table));
  }
  return `export const names = ${JSON.stringify(names.join(' '))}.split(' '); export const languages = ${JSON.stringify(languages)};`;
}

// One string of all texts: "/" between them, "$" for WhatsApp, and Cyrillic letters 976 code points lower, where they
// are ASCII: in UTF-8 they take two bytes and crowd the rest out of gzip's code table.
function pack(texts) {
  if (texts.some((text) => /[/$]/.test(text))) throw new Error(`"/" and "$" are taken: ${texts.join(' ')}`);
  const packed = texts.join('/').replaceAll('WhatsApp', '$');
  if (!/[А-я]/.test(packed)) return packed;
  if (/[@-\x7f]/.test(packed)) throw new Error(`Latin letters among Cyrillic ones: ${packed}`);
  return packed.replace(/[А-я]/g, (letter) => String.fromCharCode(letter.charCodeAt() - 976));
}

const packing = {
  name: 'packing',
  setup(on) {
    on.onResolve({ filter: /^packed:texts$/ }, () => ({ path: 'texts', namespace: 'packed' }));
    on.onLoad({ filter: /.*/, namespace: 'packed' }, async () => ({ contents: await packedTexts() }));
    on.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, 'utf8'), { loader: 'css', minify: true });
      return { contents: code.trim(), loader: 'text' };
    });
  },
};

async function bundle() {
  const options = { bundle: true, format: 'iife', charset: 'utf8', target: 'es2022', write: false, plugins: [packing] };
  const { outputFiles } = await build({ ...options, entryPoints: [here('src/index.js')] });
  const compress = { ecma: 2022, passes: 5, inline: 1, hoist_funs: true, conditionals: false, unsafe_arrows: true, unsafe_methods: true };
  const { code } = await minify(outputFiles[0].text, { ecma: 2022, compress });
  return `/* ca_embed, MIT */\n${code}\n`;
}

const code = await bundle();
const size = execFileSync('gzip', ['-9', '-n'], { input: code }).length;
if (size > LIMIT) throw new Error(`ca-embed.js is ${size} bytes gzipped, more than ${LIMIT}`);
if (process.argv.includes('--check')) {
  if ((await readFile(output, 'utf8')) !== code) throw new Error('ca-embed.js is not current: run "npm --prefix js run build"');
} else {
  await writeFile(output, code);
}
console.log(`ca-embed.js: ${code.length} characters, ${size} bytes gzipped`);
