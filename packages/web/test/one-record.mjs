// Opens a built page and reads the record that it logged: node one-record.mjs FOLDER TEST.

import { pathToFileURL } from "node:url";

const [folder, test] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${test}/${name}`));
const [{ serve }, { launch, open }] = [await load("serve.mjs"), await load("browser.mjs")];
const server = await serve({ assets: `${folder}/assets`, site: folder });
const browser = await launch();
const page = await open(browser, `${server.url}/site/index.html`);
const text = await page.locator("pre", { hasText: "logprob" }).textContent();
await browser.close();
server.close();
const record = JSON.parse(text);
console.log(text.trim());
if (record.rank !== 2 || record.top[0].token !== 0 || Math.abs(Math.exp(record.top[0].logprob) - 0.8437) > 1e-4) {
  console.error("that is another record");
  process.exit(1);
}
