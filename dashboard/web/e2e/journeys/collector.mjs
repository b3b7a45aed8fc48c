// The `loopd serve` that the journeys record to. It can be killed and started again on the same database and port.

import { spawn } from "node:child_process";

/** Until it says where it listens. */
const START_LIMIT_MS = 60_000;

export class Collector {
  static async start(program, db) {
    const collector = new Collector();
    Object.assign(collector, { program, db, listen: "127.0.0.1:0" });
    await collector.startAgain();
    return collector;
  }

  async startAgain() {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("LOOPD_")));
    this.child = spawn(this.program, ["serve", "--listen", this.listen, "--db", this.db], { env: { ...env, LOOPD_LOG: "error" }, stdio: ["ignore", "pipe", "inherit"] });
    this.url = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("`loopd serve` does not say where it listens")), START_LIMIT_MS);
      let said = "";
      this.child.stdout.on("data", (chunk) => {
        said += chunk;
        const url = /http:\/\/[\d.:]+/.exec(said)?.[0];
        if (!url) return;
        clearTimeout(timer);
        resolve(url);
      });
      this.child.on("exit", (code) => reject(new Error(`\`loopd serve\` ended: ${code}`)));
    });
    this.listen = new URL(this.url).host;
  }

  /** As `kill -9` does. */
  async killHard() {
    if (this.child.exitCode != null || this.child.signalCode != null) return;
    const ended = new Promise((resolve) => this.child.once("close", resolve));
    this.child.kill("SIGKILL");
    await ended;
  }

  kill() {
    this.child.kill("SIGKILL");
  }

  async get(path) {
    const answer = await fetch(new URL(`/api/v1${path}`, this.url));
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
  }

  /** The newest process of that name; null if there is none yet. */
  async process(app) {
    const { processes } = await this.get("/processes");
    return processes.filter((it) => it.app === app).sort((a, b) => b.process - a.process)[0] ?? null;
  }

  /** The one number that a query gives. */
  async number(sql) {
    const answer = await fetch(new URL("/api/v1/query", this.url), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ sql, limit: 1, timeout_ms: 30_000 }) });
    const { rows, error } = await answer.json();
    if (!answer.ok) throw new Error(`${sql}: ${error}`);
    return Number(rows[0][0]);
  }
}
