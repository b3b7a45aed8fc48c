//! The live stream: says "there is data up to T", never carries the data. Live and history are then the same requests.

import { signal } from "@preact/signals";
import { apiUrl } from "./client.ts";
import type { Head } from "./types.ts";

export type Connection = "connecting" | "open" | "broken";

export const connection = signal<Connection>("connecting");
/** The latest head; null until the first one. */
export const head = signal<Head | null>(null);

const FIRST_DELAY = 500;
const LONGEST_DELAY = 10_000;

/**
 * Keeps one stream open for as long as the page lives. EventSource gives up for good after an HTTP error, so it is replaced instead
 * of trusted, with growing delays: a restarted collector must not meet every open tab at once.
 */
export function connectLive(): void {
  let delay = FIRST_DELAY;
  const open = () => {
    const source = new EventSource(apiUrl("/live"));
    source.onopen = () => {
      connection.value = "open";
      delay = FIRST_DELAY;
    };
    source.addEventListener("head", (event) => {
      connection.value = "open";
      head.value = JSON.parse((event as MessageEvent<string>).data) as Head;
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
