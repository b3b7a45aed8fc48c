//! Which columns of a table have room: the lesser ones go first, so that what names a row is never cut to nothing.

export interface FitColumn {
  readonly key: string;
  /** `92px`; columns without a width share what is left, each in proportion to what it needs. */
  readonly width?: string;
  /** What a column without a width needs at least, in pixels. */
  readonly least?: number;
  /** 0 stays whatever happens; of the others the highest goes first. */
  readonly priority?: number;
}

/** Needed by a column that does not say. */
const LEAST = 120;

export function neededWidth(columns: readonly FitColumn[]): number {
  return columns.reduce((sum, column) => sum + (pixels(column.width) ?? column.least ?? LEAST), 0);
}

/** Those of the columns that fit into so many pixels, in their order. A width of 0 is one that nobody knows yet. */
export function fitColumns<C extends FitColumn>(columns: readonly C[], width: number): readonly C[] {
  if (width <= 0) return columns;
  let shown = columns;
  while (neededWidth(shown) > width) {
    const least = shown.reduce<C | null>((worst, column) => ((column.priority ?? 0) > 0 && (column.priority ?? 0) >= (worst?.priority ?? 0) ? column : worst), null);
    if (!least) return shown;
    shown = shown.filter((column) => column !== least);
  }
  return shown;
}

/** How wide each column is in so many pixels, as CSS says it; undefined as long as nobody knows the width. */
export function fittedWidth(column: FitColumn, columns: readonly FitColumn[], width: number): string | undefined {
  if (column.width || width <= 0) return column.width;
  const free = columns.filter((other) => !other.width);
  const needed = free.reduce((sum, other) => sum + (other.least ?? LEAST), 0);
  const left = Math.max(0, width - neededWidth(columns));
  const least = column.least ?? LEAST;
  return `${Math.floor(least + (left * least) / needed)}px`;
}

function pixels(width: string | undefined): number | null {
  return width?.endsWith("px") ? Number.parseFloat(width) : null;
}

/** The columns that the address names, in their usual order; null if it names none of them. */
export function chosenColumns<C extends FitColumn>(columns: readonly C[], text: string | null): readonly C[] | null {
  const keys = new Set((text ?? "").split(","));
  const chosen = columns.filter((column) => keys.has(column.key));
  return chosen.length > 0 ? chosen : null;
}
