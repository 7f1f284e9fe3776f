// Bundles main.js with each bundler, and runs what comes out beside a few stand-ins for a browser.
// Prints the names of the elements that each bundle defines.
import { readFile } from 'node:fs/promises';
import { runInNewContext } from 'node:vm';
import esbuild from 'esbuild';
import { build } from 'vite';
import webpack from 'webpack';

const root = import.meta.dirname;
const entry = `${root}/main.js`;

async function withVite(outDir) {
  const rolldownOptions = { input: entry, output: { format: 'iife', entryFileNames: 'main.js' } };
  await build({ root, configFile: false, logLevel: 'error', build: { outDir, rolldownOptions } });
}

const withWebpack = (path) =>
  new Promise((resolve, reject) => {
    const settings = { context: root, mode: 'production', entry, output: { path, filename: 'main.js' } };
    webpack(settings, (error, stats) => {
      if (error || stats.hasErrors() || stats.hasWarnings()) reject(error ?? new Error(stats.toString()));
      else resolve();
    });
  });

const withEsbuild = (outdir) => esbuild.build({ entryPoints: [entry], outdir, bundle: true, minify: true, format: 'iife' });

for (const [name, bundle] of Object.entries({ vite: withVite, webpack: withWebpack, esbuild: withEsbuild })) {
  const folder = `${root}/out/${name}`;
  await bundle(folder);
  const defined = [];
  const browser = {
    HTMLElement: class {},
    CSS: { supports: () => true },
    customElements: { get: () => undefined, define: (tag) => defined.push(tag) },
  };
  browser.window = browser.globalThis = browser;
  runInNewContext(await readFile(`${folder}/main.js`, 'utf8'), browser);
  console.log(name, ...defined, typeof browser.CAEmbed.open, typeof browser.opened);
}
