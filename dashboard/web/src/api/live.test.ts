import { afterEach, beforeEach, expect, test, vi } from "vitest";

/** Stands for the browser's, and shows which streams were opened. */
class Stream {
  static opened: Stream[] = [];
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  isClosed = false;
  private listeners = new Map<string, (event: { data: string; lastEventId: string }) => void>();
  constructor(readonly url: string) {
    Stream.opened.push(this);
  }
  addEventListener(name: string, listener: (event: { data: string; lastEventId: string }) => void): void {
    this.listeners.set(name, listener);
  }
  close(): void {
    this.isClosed = true;
  }
  say(name: string, data: object, lastEventId = ""): void {
    this.listeners.get(name)!({ data: JSON.stringify(data), lastEventId });
  }
}

const head = { now: "5", version: 3, processes: [] };
const latest = () => Stream.opened.at(-1)!;

beforeEach(() => {
  Stream.opened = [];
  vi.resetModules();
  vi.useFakeTimers();
  vi.stubGlobal("EventSource", Stream);
  vi.stubGlobal("addEventListener", () => {});
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function connect() {
  const live = await import("./live.ts");
  const reload = vi.fn();
  live.connectLive(reload);
  return { live, reload };
}

test("a stream that broke is opened again and says what was seen last", async () => {
  const { live } = await connect();
  expect(latest().url).toBe("/api/v1/live");
  latest().onopen!();
  latest().say("head", head, "07:0.1.0:5:3");
  latest().onerror!();
  expect(latest().isClosed).toBe(true);
  expect(live.connection.value).toBe("broken");
  expect(live.recovered.value).toBe(0);

  vi.advanceTimersByTime(1_000);
  expect(Stream.opened.length).toBe(2);
  expect(latest().url).toBe("/api/v1/live?after=07:0.1.0:5:3");
  latest().onopen!();
  expect(live.connection.value).toBe("open");
  expect(live.recovered.value).toBe(1);
  expect(live.head.value).toEqual(head);
});

test("after a restart everything is asked anew, and what was said before is forgotten", async () => {
  const { live, reload } = await connect();
  latest().say("head", head, "07:0.1.0:5:3");
  latest().say("reset", { reason: "restarted" });
  expect(live.generation.value).toBe(1);
  expect(live.head.value).toBeNull();
  latest().onerror!();
  vi.advanceTimersByTime(1_000);
  expect(latest().url).toBe("/api/v1/live");
  expect(reload).not.toHaveBeenCalled();
});

test("another version, or another store, loads the page again", async () => {
  const { live, reload } = await connect();
  latest().say("reset", { reason: "other_version" });
  latest().say("reset", { reason: "other_store" });
  expect(reload).toHaveBeenCalledTimes(2);
  expect(live.generation.value).toBe(0);
});
