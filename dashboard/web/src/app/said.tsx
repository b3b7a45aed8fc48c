//! A word in passing that something worked, for what no button shows.

import { signal } from "@preact/signals";

const text = signal("");
/** Long enough to be read, in milliseconds. */
const SHOWN = 2500;
let timer: ReturnType<typeof setTimeout> | undefined;

export function say(sentence: string): void {
  clearTimeout(timer);
  text.value = sentence;
  timer = setTimeout(() => (text.value = ""), SHOWN);
}

export function Said() {
  return <p class="said" role="status" data-testid="said">{text.value}</p>;
}
