//! What a new user sees: three lines to copy, and a light that turns green when the first process connects.

import { connection } from "../api/live.ts";
import { Snippet } from "../ui/clipboard.tsx";
import { Card } from "../ui/small.tsx";

const CARGO = `# Cargo.toml
[dependencies]
loopd-agent = "0.1"`;

const CONFIG = `# .cargo/config.toml
[build]
rustflags = ["--cfg", "tokio_unstable"]`;

const MAIN = `// src/main.rs: instead of #[tokio::main]
#[loopd_agent::main]
async fn main() {
    // your program, unchanged
}`;

/** Shown while no process is known. The frame replaces it with the overview as soon as one is. */
export function FirstRun() {
  return (
    <div class="page first-run" data-testid="first-run">
      <header class="title">
        <div>
          <h1>Nothing has been recorded yet</h1>
          <p>Add loopd to a tokio service in three steps. It records every poll, and what blocked it.</p>
        </div>
      </header>
      <div class="waiting" role="status">
        <span class={`beacon ${connection.value}`} />
        {connection.value === "open" ? "Waiting for the first agent. This page opens by itself when it connects." : "Connecting to loopd…"}
      </div>
      <Card title="1 · Link the agent">
        <Snippet label="Cargo.toml" text={CARGO} />
        <Snippet label=".cargo/config.toml" text={CONFIG} />
        <p class="muted after">The flag turns on tokio's task hooks. Without it loopd sees workers, but no tasks.</p>
      </Card>
      <Card title="2 · Start it with main">
        <Snippet label="src/main.rs" text={MAIN} />
      </Card>
      <Card title="3 · Run your service">
        <Snippet label="Shell" text="cargo run" />
        <p class="muted after">The agent looks for loopd at 127.0.0.1:7411. Set <code>LOOPD_ENDPOINT</code> for another place.</p>
      </Card>
      <p>Only looking around? Run <code>loopd demo</code>: it records a small shop with a blocked worker, a task leak and sockets nobody closes.</p>
    </div>
  );
}
