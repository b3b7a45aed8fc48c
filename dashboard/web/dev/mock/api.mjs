// The HTTP API with made-up data, as a connect-style handler: used by `vite` and by dev/server.mjs.

import { encodeTile } from "./tile.mjs";
import { answerNotes } from "./notes.mjs";
import * as views from "./views.mjs";

/** Live head events per second, the same limit as the collector's. */
const HEADS_PER_SECOND = 4;

/** `frozen`: no new data arrives, for screenshots. `only`: one process. `empty`: no process has ever connected; the first does after `connectAfter` ms, if that is set. */
export function mockApi({ frozen = process.env.MOCK_FROZEN === "1", empty = process.env.MOCK_EMPTY === "1", only = process.env.MOCK_ONLY === "1", connectAfter = Number(process.env.MOCK_CONNECT_MS ?? 0) } = {}) {
  const world = views.makeWorld({ frozen, empty, only, connectAfter });
  return (request, response, next) => {
    const url = new URL(request.url, "http://localhost");
    if (url.pathname === "/healthz" || url.pathname === "/readyz") return void response.end("ok");
    if (!url.pathname.startsWith("/api/")) return next();
    world.advance();
    if (url.pathname === "/api/v1/live") return live(world, request, response);
    if (url.pathname === "/api/v1/query") return query(world, request, response);
    const asked = /^\/api\/v1\/processes\/(\d+)\/dump$/.exec(url.pathname);
    if (asked && request.method === "POST") return send(response, 200, views.dump(world, Number(asked[1])));
    const muting = /^\/api\/v1\/processes\/(\d+)\/findings\/mute$/.exec(url.pathname);
    if (muting && request.method === "POST") return mute(world, request, response);
    if (/^\/api\/v1\/notes(\/|$)/.test(url.pathname)) return notes(request, response, url);
    if (request.method === "PATCH") return patch(world, request, response, url.pathname.replace("/api/v1", ""));
    const tile = /^\/api\/v1\/tiles\/(\d+)\/(\d+)\/(\d+)$/.exec(url.pathname);
    if (tile) return sendTile(world, response, tile[1], Number(tile[2]), BigInt(tile[3]));
    const answer = views.answer(world, url.pathname.replace("/api/v1", ""), url.searchParams);
    return send(response, answer == null ? 404 : 200, answer ?? { error: `there is nothing at ${url.pathname}` });
  };
}

function send(response, status, body) {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}

/** What the timeline has for the tile's range, as bytes. */
function sendTile(world, response, process, zoom, number) {
  const [from, to] = [number << BigInt(zoom), (number + 1n) << BigInt(zoom)];
  const view = views.answer(world, "/timeline", new URLSearchParams({ process, from: String(from), to: String(to), width: "513" }));
  response.writeHead(200, { "content-type": "application/vnd.loopd.tile", "cache-control": "no-cache" });
  response.end(encodeTile(view, zoom));
}

function live(world, request, response) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  const head = () => {
    world.advance();
    response.write(`event: head\ndata: ${JSON.stringify(views.head(world))}\n\n`);
  };
  head();
  const timer = setInterval(() => (world.frozen ? response.write(": still here\n\n") : head()), 1000 / HEADS_PER_SECOND);
  request.on("close", () => clearInterval(timer));
}

function patch(world, request, response, path) {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    const answer = views.patch(world, path, JSON.parse(body));
    send(response, answer ? 200 : 404, answer ?? { error: `there is nothing at ${path}` });
  });
}

function notes(request, response, url) {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    const answer = answerNotes(request.method, url.pathname.replace("/api/v1", ""), url.searchParams, body ? JSON.parse(body) : null);
    send(response, answer ? 200 : 404, answer ?? { error: "there is no such note" });
  });
}

function mute(world, request, response) {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => send(response, 200, views.mute(world, JSON.parse(body))));
}

function query(world, request, response) {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    const { sql } = JSON.parse(body);
    const answer = views.query(world, sql);
    send(response, answer.error ? 400 : 200, answer);
  });
}
