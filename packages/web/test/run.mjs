// Runs the package in Chromium: node run.mjs PACKAGE PROOF DIGESTS PAGE: the folders of the package and of the one with what tests
// alone need, what native code answers, and the example page. Each check is a page of its own. Pictures go beside the page.

import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { outside } from "./checks.js";
import { isDeepStrictEqual } from "node:util";
import { launch, open, workPage } from "./browser.mjs";
import { serve } from "./serve.mjs";

const [ours, proof, digestsFile, example] = process.argv.slice(2);
const server = await serve({ package: ours, proof, test: import.meta.dirname });
const failures = [];
const shown = (value) => JSON.stringify(value)?.slice(0, 400);

/** Runs a check, and says how long it took. */
async function check(name, call) {
  const start = Date.now();
  try {
    const found = await call();
    console.log(`${((Date.now() - start) / 1000).toFixed(1).padStart(6)} s  ${name}  ${found === undefined ? "" : shown(found)}`);
    return found;
  } catch (error) {
    failures.push(name);
    console.log(`FAILED    ${name}: ${String(error).slice(0, 1500)}`);
  }
}

/** What a check of checks.js finds in a page of this browser, of the package or of the one with what tests alone need. */
async function inPage(browser, name, folder = "package") {
  const said = [];
  const page = await open(browser, `${server.url}/`, said);
  try {
    return await page.evaluate(async ([name, folder]) => {
      const [checks, library] = [await import("/test/checks.js"), await import(`/${folder}/index.js`)];
      return checks[name](library);
    }, [name, folder]);
  } catch (error) {
    throw new Error(`${error.message}\n${said.slice(0, 5).join("\n")}`);
  } finally {
    await page.close();
  }
}

await check("in node", async () => {
  const library = await import(pathToFileURL(resolve(ours, "index.js")));
  return outside(library, await readFile(`${ours}/sortilege_bg.wasm`));
});

const browser = await launch();
console.log(`Chromium ${browser.version()}`);
for (const name of ["interfaces", "types", "buffers", "drafts", "operations", "errors", "refused", "refusedOnce", "lost", "fault", "memory"]) {
  await check(name, () => inPage(browser, name));
}
for (const name of ["forgotten", "panic", "exhausted"]) await check(name, () => inPage(browser, name, "proof"));
await check("two tabs at once", async () => {
  const found = await Promise.all([inPage(browser, "interfaces"), inPage(browser, "interfaces")]);
  const [a, b] = found.map((tab) => new Set(tab.seeds));
  if ([...a].some((seed) => b.has(seed))) throw new Error("both found the same seeds");
  return { tabs: found.length };
});
await check("a page without WebGPU", async () => {
  const plain = await launch({ webgpu: false });
  try {
    const [without, within] = [await inPage(plain, "without"), await inPage(browser, "within")];
    if (!isDeepStrictEqual(without, within)) throw new Error("other records than with WebGPU");
    return { records: without.records.length + without.drawn.length };
  } finally {
    await plain.close();
  }
});
await check("the example page, from its folder", () => workPage(browser, `file://${example}`, dirname(example)));
await check("times", () => inPage(browser, "times"));
await check("the CPU engine of the module is that of native code", async () => {
  const native = (await readFile(digestsFile, "utf8")).trim();
  const digests = await inPage(browser, "digests", "proof");
  if (digests !== native) throw new Error(`${digests}\nis not\n${native}`);
  return { operations: native.split("\n").length };
});
await check("the grid of validate --quick", async () => {
  const { reports, seconds } = await inPage(browser, "grid", "proof");
  for (const { name, cases, mismatches } of reports) console.log(`          ${name.padEnd(12)} ${cases} cases, ${mismatches} mismatches`);
  const [cases, mismatches] = ["cases", "mismatches"].map((key) => reports.reduce((sum, report) => sum + report[key], 0));
  if (mismatches > 0 || cases < 1000) throw new Error(shown(reports.filter((report) => report.mismatches > 0)));
  return { cases, mismatches, seconds };
});
await check("a planted fault is seen by the grid", () => inPage(browser, "faultyGrid", "proof"));

await browser.close();
server.close();
console.log(failures.length === 0 ? "all checks passed" : `failed: ${failures.join(", ")}`);
process.exit(failures.length === 0 ? 0 : 1);
