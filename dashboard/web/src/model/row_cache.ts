//! Pages of a long table that lives on the server: loads what is looked at, keeps what was seen, forgets what is far away.

export interface RowPage<Row> {
  readonly total: number;
  readonly offset: number;
  readonly rows: readonly Row[];
}

/** More pages than this and the one farthest from the view is dropped: scrolling through 100 k rows must not keep them all. */
const MAX_PAGES = 40;

export class RowCache<Row> {
  /** Null until the first page has answered. */
  total: number | null = null;
  private readonly pages = new Map<number, readonly Row[]>();
  private readonly loading = new Set<number>();

  constructor(
    private readonly pageSize: number,
    /** Null when the page could not be loaded; it is asked for again when next looked at. */
    private readonly load: (offset: number) => Promise<RowPage<Row> | null>,
    private readonly onChange: () => void,
  ) {}

  at(index: number): Row | undefined {
    return this.pages.get(Math.floor(index / this.pageSize))?.[index % this.pageSize];
  }

  /** Makes sure that rows `from..to` are there or on their way. */
  want(from: number, to: number): void {
    const last = Math.floor(Math.max(to - 1, 0) / this.pageSize);
    for (let page = Math.floor(from / this.pageSize); page <= last; page += 1) {
      if (!this.pages.has(page) && !this.loading.has(page)) void this.fetchPage(page);
    }
    this.forget(Math.floor(from / this.pageSize));
  }

  refreshFirst(): void {
    if (!this.loading.has(0)) void this.fetchPage(0);
  }

  private async fetchPage(page: number): Promise<void> {
    this.loading.add(page);
    const answer = await this.load(page * this.pageSize);
    this.loading.delete(page);
    if (answer) {
      this.pages.set(page, answer.rows);
      this.total = answer.total;
    }
    this.onChange();
  }

  private forget(near: number): void {
    while (this.pages.size > MAX_PAGES) {
      const farthest = [...this.pages.keys()].reduce((a, b) => (Math.abs(b - near) > Math.abs(a - near) ? b : a));
      this.pages.delete(farthest);
    }
  }
}
