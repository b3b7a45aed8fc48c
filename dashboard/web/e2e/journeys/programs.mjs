// What is recorded: programs of the zoo, of which it is known which line is to blame, and feeds, which say what is in them.

import { execFile, spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { untilEnded } from "../serve.mjs";

const run = promisify(execFile);
/** Of a recording that is over before anybody looks at it: more than a machine under load needs. */
const RECORD_LIMIT_MS = 300_000;

/** By name: what runs, and what is told of it. */
const RECORDINGS = {
  day: { feed: ["day"] },
  tasks: { feed: ["tasks"] },
  shop1: { feed: ["version", "1"] },
  shop2: { feed: ["version", "2"] },
  receiver: { zoo: "std_receive", seconds: 5 },
  sleeper: { zoo: "sleep_in_handler", seconds: 3 },
};

export class Programs {
  #running = new Set();

  constructor(bin, url) {
    Object.assign(this, { bin, url });
  }

  get #env() {
    return { ...process.env, LOOPD_ENDPOINT: this.url };
  }

  /** Runs one of the recordings to its end, and gives what there is to know of it. */
  async record(name) {
    const { feed, zoo, seconds } = RECORDINGS[name];
    const limit = { timeout: RECORD_LIMIT_MS, env: this.#env };
    const told = feed
      ? JSON.parse((await run(join(this.bin, "examples/feed"), [this.url, ...feed], limit)).stdout)
      : await run(join(this.bin, "zoo"), [zoo, "--for", `${seconds}s`], limit).then(() => this.ofZoo(zoo));
    await untilEnded(this.url, (it) => it.app === told.app);
    return told;
  }

  /** What a program of the zoo says of itself: the lines that it marked, among others. */
  async ofZoo(name) {
    const { stdout } = await run(join(this.bin, "zoo"), ["--list", "--json"]);
    const told = stdout.trim().split("\n").map((line) => JSON.parse(line));
    return { app: name, ...told.find((it) => it.name === name) };
  }

  /** Starts a program of the zoo that goes on while somebody looks at it. */
  start(zoo, seconds) {
    const child = spawn(join(this.bin, "zoo"), [zoo, "--for", `${seconds}s`], { env: this.#env, stdio: "ignore" });
    this.#running.add(child);
    child.on("exit", () => this.#running.delete(child));
    return child;
  }

  killAll() {
    for (const child of this.#running) child.kill("SIGKILL");
  }
}

/** The processes that a process has started and that have not ended. */
export async function childrenOf(pid) {
  // Each thread has its own.
  const found = [];
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const children = await readFile(`/proc/${pid}/task/${thread}/children`, "utf8").catch(() => "");
    found.push(...children.trim().split(" ").filter(Boolean).map(Number));
  }
  return found;
}
