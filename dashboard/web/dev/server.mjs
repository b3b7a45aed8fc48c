// Serves a finished build with the same content security policy as loopd: node dev/server.mjs [dist] [port]
// The API is the mock, or a real loopd if LOOPD=http://127.0.0.1:7411 says where one is.

import { createServer, request as ask } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { mockApi } from "./mock/api.mjs";

const [dist = "dist", port = "7499"] = process.argv.slice(2);
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const api = process.env.LOOPD ? forward(new URL(process.env.LOOPD)) : mockApi();

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

/** Hands /api to a real loopd, which answers only to its own name. */
function forward(to) {
  return (request, response, next) => {
    if (!request.url.startsWith("/api/")) return next();
    const headers = { ...request.headers, host: to.host };
    if (headers.origin) headers.origin = to.origin;
    const onward = ask({ host: to.hostname, port: to.port, path: request.url, method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  };
}
