//! What a new user sees: a few lines to copy, for Rust or Python, and a light that turns green when the first process connects.

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { connection } from "../api/live.ts";
import { process } from "../app/session.ts";
import { Snippet } from "../ui/clipboard.tsx";
import { Card, Tabs } from "../ui/small.tsx";
import { DemoOffer } from "./demo_offer.tsx";

const CARGO = `# Cargo.toml
[dependencies]
loopd-agent = { path = "../loopd/agent/loopd-agent" }  # where you cloned loopd`;

const CONFIG = `# .cargo/config.toml
[build]
rustflags = ["--cfg", "tokio_unstable"]`;

const MAIN = `// src/main.rs: instead of #[tokio::main]
#[loopd_agent::main]
async fn main() {
    // your program, unchanged
}`;

const INSTALL = "pip install ./agent/loopd-asyncio";

const PYTHON = `# first thing in your program
import loopd
loopd.install()`;

const RUN_PYTHON = `python app.py                 # with loopd.install() in it
python -m loopd run app.py    # without`;

/** Which language's steps are shown. */
const LANGUAGES = [["rust", "Rust"], ["python", "Python"]] as const;

/** True while the page says hello to the first process; it stays a moment, because a page that vanishes looks like an accident. */
export const isGreeting = signal(false);
const GREETING_MS = 1800;

/** Shown while no process is known, and for a moment after the first one is. */
export function FirstRun() {
  const first = process.value;
  const [language, setLanguage] = useState<(typeof LANGUAGES)[number][0]>("rust");
  useEffect(() => {
    if (!first) return void (isGreeting.value = true);
    const timer = setTimeout(() => (isGreeting.value = false), GREETING_MS);
    return () => clearTimeout(timer);
  }, [first == null]);
  useEffect(() => () => void (isGreeting.value = false), []);
  return (
    <div class="page first-run" data-testid="first-run">
      <header class="title">
        <div class="grow">
          <h1>Nothing has been recorded yet</h1>
          <p>Add loopd to a service of tokio or asyncio in three steps. It records every step of every task, and what blocked it.</p>
        </div>
        <Tabs label="Language" value={language} options={LANGUAGES} onChange={setLanguage} />
      </header>
      <div class="waiting" role="status">
        <span class={`beacon ${first ? "connected" : connection.value}`} />
        {first ? `${first.app} is connected. Here is what it does…` : connection.value === "open" ? "Waiting for the first agent. This page opens by itself when it connects." : "Connecting to loopd…"}
      </div>
      <DemoOffer />
      {language === "rust" ? <RustSteps /> : <PythonSteps />}
    </div>
  );
}

function RustSteps() {
  return (
    <>
      <Card title="1 · Link the agent">
        <Snippet label="Cargo.toml" text={CARGO} />
        <Snippet label=".cargo/config.toml" text={CONFIG} />
        <p class="muted after">The flag turns on tokio's task hooks, so that every task is seen, also those of libraries. Without it only tasks spawned through <code>loopd_agent::spawn</code> are.</p>
      </Card>
      <Card title="2 · Start it with main">
        <Snippet label="src/main.rs" text={MAIN} />
      </Card>
      <Card title="3 · Run your service">
        <Snippet label="Shell" text="cargo run" />
        <Endpoint />
      </Card>
    </>
  );
}

function PythonSteps() {
  return (
    <>
      <Card title="1 · Install the agent">
        <Snippet label="Shell" text={INSTALL} />
        <p class="muted after">CPython 3.10 to 3.13 on Linux, with asyncio or uvloop.</p>
      </Card>
      <Card title="2 · Switch it on">
        <Snippet label="Python" text={PYTHON} />
        <p class="muted after">Or leave the code as it is, and start the program with <code>python -m loopd run</code>.</p>
      </Card>
      <Card title="3 · Run your service">
        <Snippet label="Shell" text={RUN_PYTHON} />
        <Endpoint />
      </Card>
    </>
  );
}

function Endpoint() {
  return <p class="muted after">The agent looks for loopd at 127.0.0.1:7411. Set <code>LOOPD_ENDPOINT</code> for another place.</p>;
}
