// A loopd of one's own, with an empty store, which can be stopped and started again at the same address.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

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

/** Runs a program to its end, which tells that loopd what it does. */
export async function record(server, binary, args) {
  const child = spawn(binary, args, { stdio: "ignore", env: { ...process.env, LOOPD_ENDPOINT: server.url } });
  const code = await new Promise((done) => child.once("exit", done));
  if (code !== 0) throw new Error(`${binary} ended with ${code}`);
}
