// Makes the npm package: node build.mjs OUTDIR
// The element in it is the very file that ca_embed serves, so both are always of one release.
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';

const here = (path) => new URL(path, import.meta.url).pathname;
const [outdir] = process.argv.slice(2);
if (!outdir) throw new Error('say where to: node build.mjs OUTDIR');

await rm(outdir, { recursive: true, force: true });
await mkdir(outdir, { recursive: true });
await cp(here('package'), outdir, { recursive: true });
await cp(here('../LICENSE'), `${outdir}/LICENSE`);
await cp(here('../ca_embed/assets/ca-embed.js'), `${outdir}/element.js`);

const types = await readFile(here('../ca_embed/assets/ca-embed.d.ts'), 'utf8');
await writeFile(`${outdir}/element.d.ts`, types);
const events = [...types.matchAll(/^ {2}'ca-embed:(\w+)':/gm)].map(([, name]) => name);
await writeFile(`${outdir}/events.js`, `// The events of the element, without "ca-embed:".\nexport const EVENTS = ${JSON.stringify(events)};\n`);

const [, version] = (await readFile(here('../ca_embed/_version.py'), 'utf8')).match(/__version__ = "([^"]+)"/);
const manifest = JSON.parse(await readFile(here('package/package.json'), 'utf8'));
await writeFile(`${outdir}/package.json`, JSON.stringify({ ...manifest, version }, null, 2) + '\n');
console.log(`ca-embed ${version} in ${outdir}`);
