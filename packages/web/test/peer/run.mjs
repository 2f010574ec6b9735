// Times the package beside transformers.js in Chromium, once both have said the same: node run.mjs PACKAGE TEST, in a folder where
// package.json is installed; TEST has browser.mjs and serve.mjs.

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, test] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${test}/${name}`));
const [{ serve }, { launch, open }] = [await load("serve.mjs"), await load("browser.mjs")];
const { build } = createRequire(join(process.cwd(), "index.js"))("esbuild");
const modules = join(process.cwd(), "node_modules");
const theirs = join(modules, "@huggingface/transformers/src");

await build({
  entryPoints: ["page.js"],
  outfile: "out/page.js",
  bundle: true,
  format: "esm",
  platform: "browser",
  logLevel: "error",
  // One copy of their sources, since the sampler is not among what their bundle exports.
  alias: {
    "@huggingface/transformers": join(theirs, "transformers.js"),
    "transformers-logits-sampler": join(theirs, "generation/logits_sampler.js"),
    sortilege: join(folder, "index.js"),
  },
  // What they replace in their own bundle for browsers.
  plugins: [{ name: "no-node", setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^(node:.*|fs|path|url|sharp|onnxruntime-node|.*\/onnx-node\.js)$/ }, ({ path }) => ({ path, namespace: "none" }));
    onLoad({ filter: /.*/, namespace: "none" }, () => ({ contents: "module.exports = {}", loader: "js" }));
  } }],
});
const server = await serve({ out: "out", package: folder, runtime: join(modules, "onnxruntime-web/dist") });
const browser = await launch();
const said = [];
const page = await open(browser, `${server.url}/`, said);
try {
  const rows = await page.evaluate(async () => {
    await import("/out/page.js");
    return globalThis.compareAll(`${location.origin}/runtime/`, "/package/sortilege_bg.wasm");
  });
  console.log(`Chromium ${browser.version()}; least of some runs, milliseconds, after the same tokens and log-probabilities:`);
  console.table(rows);
} catch (error) {
  console.error(String(error), said.slice(0, 8).join("\n"));
  process.exitCode = 1;
}
await browser.close();
server.close();
