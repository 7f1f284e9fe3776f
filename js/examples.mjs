// Bundles applications that use examples/page/react.tsx and vue.vue, for the tests: node examples.mjs OUTDIR ENTRY...
import { build } from 'esbuild';
import { readFile } from 'node:fs/promises';
import { compileScript, parse } from 'vue/compiler-sfc';

const here = (path) => new URL(path, import.meta.url).pathname;

/** The examples import a copy of the element next to them. Here it is the one of the package. */
const element = {
  name: 'element',
  setup: (on) => on.onResolve({ filter: /^\.\/ca-embed\.js$/ }, () => ({ path: here('../ca_embed/assets/ca-embed.js') })),
};

/** Compiles single-file components as Vite does. Only `<script setup lang="ts">` and templates are supported. */
const components = {
  name: 'components',
  setup: (on) => on.onLoad({ filter: /\.vue$/ }, async ({ path }) => ({ contents: await compiled(path), loader: 'ts' })),
};

async function compiled(path) {
  const templateParseOptions = { isCustomElement: (tag) => tag.startsWith('ca-') };
  const { descriptor, errors } = parse(await readFile(path, 'utf8'), { filename: path, templateParseOptions });
  if (errors.length) throw errors[0];
  return compileScript(descriptor, { id: path, inlineTemplate: true }).content;
}

const [outdir, ...entryPoints] = process.argv.slice(2);
await build({
  entryPoints,
  outdir,
  bundle: true,
  target: 'es2022',
  jsx: 'automatic',
  nodePaths: [here('node_modules')],
  plugins: [element, components],
  define: {
    'process.env.NODE_ENV': '"development"', // finds more errors: React mounts everything twice, Vue warns
    __VUE_OPTIONS_API__: 'false',
    __VUE_PROD_DEVTOOLS__: 'false',
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
  },
});
