//! The live stream: says "there is data up to T", never carries the data. Live and history are then the same requests.

import { signal } from "@preact/signals";
import { apiUrl } from "./client.ts";
import type { Head, Reset } from "./types.ts";

export type Connection = "connecting" | "open" | "broken";

export const connection = signal<Connection>("connecting");
/** The latest head; null until the first one. */
export const head = signal<Head | null>(null);

/** Grows when loopd was started again: nothing that it answered before is sure to hold, and all of it is to be asked anew. */
export const generation = signal(0);
/** Grows when the stream is back: what failed meanwhile is worth another try. */
export const recovered = signal(0);

const FIRST_DELAY = 500;
const LONGEST_DELAY = 10_000;

/**
 * Keeps one stream open for as long as the page lives. EventSource gives up for good after an HTTP error, so it is replaced instead
 * of trusted, with growing delays: a restarted collector must not meet every open tab at once. A new one says which event was seen last.
 */
export function connectLive(reload: () => void = () => location.reload()): void {
  let delay = FIRST_DELAY;
  let lastSeen: string | null = null;
  const open = () => {
    const source = new EventSource(apiUrl("/live", { after: lastSeen }));
    const opened = () => {
      if (connection.value === "broken") recovered.value += 1;
      connection.value = "open";
      delay = FIRST_DELAY;
    };
    source.onopen = opened;
    source.addEventListener("head", (event) => {
      opened();
      lastSeen = event.lastEventId || null;
      head.value = JSON.parse(event.data as string) as Head;
    });
    source.addEventListener("reset", (event) => {
      lastSeen = null;
      head.value = null;
      const { reason } = JSON.parse(event.data as string) as Reset;
      // Another version has another page, and in another store numbers of processes mean other ones.
      if (reason === "other_version" || reason === "other_store") reload();
      else generation.value += 1;
    });
    source.onerror = () => {
      source.close();
      connection.value = "broken";
      setTimeout(open, delay * (0.75 + Math.random() / 2));
      delay = Math.min(delay * 2, LONGEST_DELAY);
    };
    addEventListener("pagehide", () => source.close(), { once: true });
  };
  open();
}
