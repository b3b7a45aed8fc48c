// Serves a finished build with the mock API and the same content security policy as loopd: node dev/server.mjs [dist] [port]

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { mockApi } from "./mock/api.mjs";

const [dist = "dist", port = "7499"] = process.argv.slice(2);
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const api = mockApi();

createServer((request, response) => {
  api(request, response, async () => {
    const path = normalize(new URL(request.url, "http://localhost").pathname);
    const file = extname(path) ? path : "/index.html";
    try {
      const body = await readFile(join(dist, file));
      response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "content-security-policy": CSP, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" });
      response.end(body);
    } catch {
      response.writeHead(404).end("not found");
    }
  });
}).listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${port}`));
