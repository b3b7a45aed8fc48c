import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { generation } from "../api/live.ts";
import type { Instant } from "../base/instant.ts";
import { Loader } from "./loader.ts";

const BASE = 1_795_356_000_000_000_000n as Instant;
const MS = 1e6;
/** So wide that a view of a second is some tiles of zoom 29, which are 537 ms long. */
const WIDTH = 600;

/** A tile in which nothing happened. */
function emptyTile(isSealed: boolean): ArrayBuffer {
  const text = new TextEncoder().encode(JSON.stringify({ lanes: [], slow: [], losses: [], locations: [] }));
  const bytes = new Uint8Array(48 + text.length);
  bytes.set([1, isSealed ? 2 : 0, 29, 0]);
  const head = new DataView(bytes.buffer);
  head.setBigUint64(16, 2n ** 20n, true);
  head.setUint32(40, text.length, true);
  bytes.set(text, 48);
  return bytes.buffer;
}

let asked: string[];
let isSealed: boolean;
let fails: boolean;

beforeEach(() => {
  asked = [];
  isSealed = false;
  fails = false;
  vi.useFakeTimers();
  vi.stubGlobal("fetch", async (url: string) => {
    if (url.startsWith("/api/v1/status")) return new Response(JSON.stringify({ store: { epoch: "07" } }));
    asked.push(url);
    return fails ? new Response(JSON.stringify({ error: "the store could not be read" }), { status: 500 }) : new Response(emptyTile(isSealed));
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Has the loader show this second of a recording of a minute, or of one that reaches so far. */
async function show(loader: Loader, start: number, to = 60e9): Promise<string[]> {
  asked = [];
  loader.need({ start, span: 1000 * MS }, WIDTH, { from: 0, to }, false);
  await vi.advanceTimersByTimeAsync(1_000);
  return asked;
}

test("tiles that were seen are not asked for again, whichever way one pans", async () => {
  const loader = new Loader(3, BASE, null);
  const first = await show(loader, 10e9);
  expect(first.length).toBeGreaterThan(1);
  for (const url of first) expect(url).toMatch(/^\/api\/v1\/tiles\/3\/29\/\d+\?store=07$/);
  expect(loader.data.peek()!.covers.from).toBeLessThanOrEqual(10e9);
  expect(loader.data.peek()!.covers.to).toBeGreaterThanOrEqual(11e9);
  expect(await show(loader, 10.1e9)).toEqual([]);
  const further = await show(loader, 11e9);
  expect(further.some((url) => first.includes(url))).toBe(false);
  expect(await show(loader, 10e9)).toEqual([]);
  expect(loader.isLoading.peek()).toBe(false);
});

test("the tile at the tail is asked for again once the recording has gone on", async () => {
  const loader = new Loader(3, BASE, null);
  await show(loader, 10e9, 10.5e9);
  expect(loader.data.peek()!.covers.to).toBe(10.5e9);
  const later = await show(loader, 10e9, 10.9e9);
  expect(later.length).toBeGreaterThan(0);
  expect(loader.data.peek()!.covers.to).toBe(10.9e9);
});

test("what may still change is asked for again after a while, what is sealed never", async () => {
  const loader = new Loader(3, BASE, null);
  const first = await show(loader, 10e9);
  await show(loader, 20e9);
  vi.advanceTimersByTime(20_000);
  expect(await show(loader, 10e9)).toEqual(first);

  isSealed = true;
  const sealed = new Loader(3, BASE, null);
  await show(sealed, 10e9);
  await show(sealed, 20e9);
  vi.advanceTimersByTime(20_000);
  expect(await show(sealed, 10e9)).toEqual([]);
});

test("after a restart nothing that was kept holds", async () => {
  const loader = new Loader(3, BASE, null);
  const first = await show(loader, 10e9);
  generation.value += 1;
  expect(await show(loader, 10e9)).toEqual(first);
});

test("what fails is said, and the next look tries again", async () => {
  const loader = new Loader(3, BASE, null);
  fails = true;
  await show(loader, 10e9);
  expect(loader.error.peek()?.message).toBe("the store could not be read");
  fails = false;
  expect((await show(loader, 10e9)).length).toBeGreaterThan(1);
  expect(loader.error.peek()).toBeNull();
});

test("of a recording of years as many tiles are asked for as can be held, and once", async () => {
  const loader = new Loader(3, BASE, null);
  const years = { from: 0, to: 1000 * 86400e9 };
  const need = async () => {
    asked = [];
    loader.need({ start: 0, span: years.to }, WIDTH, years, false);
    await vi.advanceTimersByTimeAsync(1_000);
    return asked.length;
  };
  expect(await need()).toBe(48);
  expect(await need()).toBe(0);
});
