//! Which rows of a long table exist in the document: one line of arithmetic, because all rows are equally high.

export interface RowWindow {
  /** First row to render and the one after the last. */
  readonly from: number;
  readonly to: number;
  /** Heights that stand in for the rows left out. */
  readonly above: number;
  readonly below: number;
}

/** Rows rendered beyond each edge, so that a fast scroll does not show blanks. */
const OVERSCAN = 8;

export function rowWindow(total: number, rowHeight: number, scrollTop: number, viewHeight: number): RowWindow {
  const first = Math.floor(Math.max(0, scrollTop) / rowHeight) - OVERSCAN;
  const visible = Math.ceil(viewHeight / rowHeight) + 2 * OVERSCAN;
  const from = Math.min(Math.max(0, first), Math.max(0, total - visible));
  const to = Math.min(total, from + visible);
  return { from, to, above: from * rowHeight, below: (total - to) * rowHeight };
}
