import { expect, test } from "vitest";
import type { TimelineAnswer } from "../api/types.ts";
import { decodeTile, NOWHERE } from "./tile.ts";
import fixture from "./tiles.fixture.json?raw";

/** What the server's tests wrote: tiles, and what is in them. */
const written = JSON.parse(fixture) as { zoom: number; sealed: boolean; view: TimelineAnswer; hex: string }[];

function bytesOf(hex: string): ArrayBuffer {
  return Uint8Array.from(hex.match(/../g)!, (byte) => parseInt(byte, 16)).buffer as ArrayBuffer;
}

test("bytes from the server are what it says is in them", () => {
  expect(written.length).toBeGreaterThan(10);
  for (const { zoom, sealed, view, hex } of written) {
    const tile = decodeTile(bytesOf(hex));
    expect([tile.zoom, tile.isSealed, tile.isExact, tile.level, tile.step]).toEqual([zoom, sealed, view.exact, view.level, view.step]);
    expect([tile.t0, tile.dataFrom, tile.dataTo].map(String)).toEqual([view.t0, view.data_from, view.data_to]);
    expect(tile.slow).toEqual(view.slow);
    expect(tile.losses).toEqual(view.losses);
    expect(Object.fromEntries(tile.locations)).toEqual(view.locations ?? {});
    const lanes = tile.lanes.map((lane) => ({
      loop: lane.loop, loop_name: lane.loopName, worker: lane.worker, thread_name: lane.threadName, ...(lane.startedAt != null && { started_at: String(lane.startedAt) }), ...(lane.stoppedAt != null && { stopped_at: String(lane.stoppedAt) }),
      cells: { i: [...lane.cells.i], b0: [...lane.cells.busy[0]], b1: [...lane.cells.busy[1]], b2: [...lane.cells.busy[2]], b3: [...lane.cells.busy[3]], max: [...lane.cells.max], n: [...lane.cells.n] },
      polls: { s: [...lane.polls.start], d: [...lane.polls.length], t: [...lane.polls.task].map(String), l: [...lane.polls.location].map((place) => (place === NOWHERE ? "0" : tile.locations[place]![0])) },
      parks: { s: [...lane.parks.start], d: [...lane.parks.length] },
    }));
    const none = { polls: { s: [], d: [], t: [], l: [] }, parks: { s: [], d: [] } };
    expect(lanes).toEqual(view.lanes.map((lane) => ({ ...none, ...lane })));
  }
});

test("bytes of another layout are refused", () => {
  expect(() => decodeTile(new ArrayBuffer(0))).toThrow(/cannot read/);
  expect(() => decodeTile(Uint8Array.from({ length: 64 }, () => 9).buffer as ArrayBuffer)).toThrow(/cannot read/);
});
