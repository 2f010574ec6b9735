// Makes the page one file that works from a folder, without a server: node build.mjs PACKAGE OUT, where esbuild is installed. The
// module, the logits and the tokens of one text are in it.

import { createRequire } from "node:module";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [folder, out] = process.argv.slice(2);
const { build } = createRequire(join(process.cwd(), "index.js"))("esbuild");
const here = import.meta.dirname;
const assets = join(here, "../../assets");
const VOCAB = 4096;
const POSITIONS = 48;

/** The bytes of an array after its header, so many of them. */
function npy(name, bytes) {
  const file = readFileSync(join(assets, name));
  const start = 10 + file.readUInt16LE(8);
  return file.subarray(start, start + bytes);
}

/** What GPT-2 writes for each byte: itself where it is printed, otherwise the next character from 256 on. */
function bytesOfCharacters() {
  const isPrinted = (byte) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  const printed = Array.from({ length: 256 }, (_, byte) => byte);
  let next = 256;
  return new Map(printed.map((byte) => [String.fromCodePoint(isPrinted(byte) ? byte : next++), byte]));
}

const of = bytesOfCharacters();
const { vocab } = JSON.parse(readFileSync(join(assets, "tokenizer.json"), "utf8")).model;
const words = Object.entries(vocab).sort(([, a], [, b]) => a - b).map(([text]) => Array.from(text, (character) => of.get(character)));
const targets = npy("tokens.npy", POSITIONS * 4);
const tokens = Array.from({ length: POSITIONS }, (_, i) => targets.readUInt32LE(4 * i));
const base64 = (bytes) => JSON.stringify(Buffer.from(bytes).toString("base64"));

const work = mkdtempSync(join(tmpdir(), "sortilege-"));
const data = `
const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
export const module = bytes(${base64(readFileSync(join(folder, "sortilege_bg.wasm")))});
export const logits = new Uint16Array(bytes(${base64(npy("logits.npy", POSITIONS * VOCAB * 2))}).buffer);
export const tokens = ${JSON.stringify(tokens)};
export const vocab = ${JSON.stringify(words)}.map((list) => Uint8Array.from(list));
`;
writeFileSync(join(work, "data.js"), data);
const { outputFiles } = await build({
  entryPoints: [join(here, "page.js")],
  alias: { sortilege: join(folder, "index.js") },
  plugins: [{ name: "data", setup: ({ onResolve }) => onResolve({ filter: /data\.js$/ }, () => ({ path: join(work, "data.js") })) }],
  bundle: true,
  format: "esm",
  write: false,
});
const script = outputFiles[0].text.replaceAll("</script", "<\\/script");
const page = readFileSync(join(here, "index.html"), "utf8");
writeFileSync(out, page.replace('<script type="module" src="page.js"></script>', () => `<script type="module">\n${script}</script>`));
