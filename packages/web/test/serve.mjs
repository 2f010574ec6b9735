// Serves folders under names, on a port that is free.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

/** Serves `{ name: folder }`; `/` is an empty page. */
export async function serve(folders) {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, "http://localhost").pathname);
    const [, name, ...rest] = path.split("/");
    try {
      const body = path === "/" ? "<!doctype html><title>test</title>" : await readFile(join(folders[name], ...rest));
      response.setHeader("content-type", path === "/" ? "text/html" : (TYPES[extname(path)] ?? "application/octet-stream"));
      response.end(body);
    } catch {
      response.statusCode = 404;
      response.end();
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { url: `http://localhost:${server.address().port}`, close: () => server.close() };
}
