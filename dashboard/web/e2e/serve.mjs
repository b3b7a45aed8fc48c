// A loopd of one's own, with an empty store, which can be stopped and started again at the same address.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { until } from "./browser.mjs";

/** Until it says where it listens. */
const START_LIMIT_MS = 60_000;
/** Until it knows that a program has ended, of which it may only miss the goodbye. */
const END_LIMIT_MS = 60_000;

/** Starts `loopd serve` with a new database. */
export async function startLoopd(binary) {
  const folder = await mkdtemp(join(tmpdir(), "loopd-walk-"));
  let listen = "127.0.0.1:0";
  let child = null;
  const server = {
    url: null,
    async start() {
      child = spawn(binary, ["serve", "--listen", listen, "--db", join(folder, "loopd.db")], { stdio: ["ignore", "pipe", "ignore"] });
      server.url = await new Promise((found, fail) => {
        const timer = setTimeout(() => fail(new Error("loopd serve does not say its address")), START_LIMIT_MS);
        timer.unref();
        // Read to its end, or the server would stall on a full pipe.
        createInterface(child.stdout).on("line", (line) => {
          const url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0];
          if (url) found(url);
        });
        child.once("exit", (code) => fail(new Error(`loopd serve ended with ${code} before it said its address`)));
      });
      listen = server.url.slice("http://".length);
    },
    async stop() {
      if (!child || child.exitCode != null) return;
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      await ended;
    },
    async remove() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  // A walk that fails ends with `process.exit`.
  process.once("exit", () => child?.kill("SIGKILL"));
  await server.start();
  return server;
}

/** Runs a program to its end, which tells that loopd what it does; all of it is there then. */
export async function record(server, binary, args) {
  const child = spawn(binary, args, { stdio: "ignore", env: { ...process.env, LOOPD_ENDPOINT: server.url } });
  const code = await new Promise((done) => child.once("exit", done));
  if (code !== 0) throw new Error(`${binary} ended with ${code}`);
  await untilEnded(server.url, () => true);
}

/** Waits until loopd knows that the programs `areThey` have ended: what they told is there then, and their pages stand still. */
export async function untilEnded(url, areThey) {
  await until(async () => {
    const { processes } = await (await fetch(new URL("/api/v1/processes", url))).json();
    const they = processes.filter(areThey);
    return they.length > 0 && they.every((it) => it.state !== "live");
  }, "loopd knows that a program has ended", END_LIMIT_MS);
}
