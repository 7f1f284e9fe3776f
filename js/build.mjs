// Bundles src/ into the one file that users load: ca_embed/assets/ca-embed.js.
//   node build.mjs          writes it
//   node build.mjs --check  fails if the file in the repository is not what src/ gives
import { build, transform } from 'esbuild';
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

const { outputFiles } = await build({
  entryPoints: [here('src/index.js')],
  bundle: true,
  format: 'iife', // works as a classic script and as a module
  target: 'es2022',
  minify: true,
  charset: 'utf8',
  banner: { js: '/* ca_embed, MIT */' },
  plugins: [styleSheets],
  write: false,
});
const code = outputFiles[0].text;
const size = execFileSync('gzip', ['-9', '-n'], { input: code }).length;
if (size > LIMIT) throw new Error(`ca-embed.js is ${size} bytes gzipped, more than ${LIMIT}`);
if (process.argv.includes('--check')) {
  if ((await readFile(output, 'utf8')) !== code) throw new Error('ca-embed.js is not current: run "npm --prefix js run build"');
} else {
  await writeFile(output, code);
}
console.log(`ca-embed.js: ${code.length} characters, ${size} bytes gzipped`);
