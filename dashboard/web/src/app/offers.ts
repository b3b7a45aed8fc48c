//! What the tables on the page can be copied as, so that keys and commands reach it as well.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

export interface Offer {
  /** Of the table, as its file is called. */
  readonly name: string;
  readonly sql: string | null;
  readonly cli: string | null;
}

/** In the order of the page: the first is what it is about. */
export const offers = signal<readonly Offer[]>([]);

export function useOffer({ name, sql, cli }: Offer): void {
  useEffect(() => {
    const offer = { name, sql, cli };
    offers.value = [...offers.peek(), offer];
    return () => (offers.value = offers.peek().filter((other) => other !== offer));
  }, [name, sql, cli]);
}
