// A timeline's answer as the bytes of a tile: the layout is that of `GET /api/v1/tiles/…` in the server's description.

const NOWHERE = 0xffffffff;

export function encodeTile(view, zoom) {
  const locations = Object.entries(view.locations ?? {});
  const lanes = view.lanes.map(({ loop, loop_name, worker, thread_name }) => ({ loop, loop_name, worker, thread_name: thread_name ?? "" }));
  const text = Buffer.from(JSON.stringify({ lanes, slow: view.slow, losses: view.losses, locations }));
  const head = Buffer.alloc(48);
  head.set([1, view.exact ? 1 : 0, zoom, view.level]);
  head.writeUInt32LE(lanes.length, 4);
  head.writeBigInt64LE(BigInt(view.t0), 8);
  head.writeBigUInt64LE(BigInt(view.step), 16);
  head.writeBigInt64LE(BigInt(view.data_from ?? view.t0), 24);
  head.writeBigInt64LE(BigInt(view.data_to ?? view.t1), 32);
  head.writeUInt32LE(text.length, 40);
  return Buffer.concat([head, padded(text), ...view.lanes.flatMap((lane) => encodeLane(lane, locations))]);
}

function encodeLane({ cells, polls, parks }, locations) {
  const [c, p, k] = [cells ?? empty(["i", "b0", "b1", "b2", "b3", "max", "n"]), polls ?? empty(["s", "d", "t", "l"]), parks ?? empty(["s", "d"])];
  const place = (id) => locations.findIndex(([known]) => known === String(id));
  const at = p.l.map((id) => (place(id) < 0 ? NOWHERE : place(id)));
  const tasks = BigUint64Array.from(p.t, (task) => BigInt(task));
  return [u32(c.i.length, p.s.length, k.s.length, 0), u32(...c.i), ...[c.b0, c.b1, c.b2, c.b3, c.max, c.n, p.s, p.d].map(f64), Buffer.from(tasks.buffer), u32(...at), f64(k.s), f64(k.d)];
}

const empty = (names) => Object.fromEntries(names.map((name) => [name, []]));
const u32 = (...values) => padded(Buffer.from(Uint32Array.from(values).buffer));
const f64 = (values) => Buffer.from(Float64Array.from(values).buffer);

function padded(bytes) {
  return Buffer.concat([bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
}
