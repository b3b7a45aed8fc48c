//! One table for all pages: sortable, keyboard-operable, windowed when long, and always exportable.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { fitColumns, fittedWidth } from "../model/column_fit.ts";
import { rowWindow, type RowWindow } from "../model/window.ts";
import { Icon } from "./icons.tsx";

/** The height of every row, equal to `--row`: windowing is arithmetic only because of that. */
export const ROW_HEIGHT = 28;

export interface Column<Row> {
  readonly key: string;
  readonly title: string;
  /** There is no room for it: only read aloud. */
  readonly hidesTitle?: boolean;
  /** What the column means, shown on hover. */
  readonly about?: string;
  readonly width?: string;
  /** In a fitted table: what a column without a width needs, in pixels, and how soon it goes when room is short; 0 never goes. */
  readonly least?: number;
  readonly priority?: number;
  readonly isNumber?: boolean;
  /** False for columns that the server cannot sort by. */
  readonly isSortable?: boolean;
  readonly cell: (row: Row) => ComponentChildren;
  /** The raw value for sorting here and for CSV. */
  readonly value?: (row: Row) => string | number | null;
}

export interface Sort {
  readonly key: string;
  readonly isDescending: boolean;
}

export interface TableProps<Row> {
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly total: number;
  /** Undefined while the row is still being fetched. */
  readonly rowAt: (index: number) => Row | undefined;
  readonly rowKey: (row: Row) => string;
  /** Where Enter and a click on a row lead. */
  readonly hrefOf?: (row: Row) => string;
  readonly open?: (href: string) => void;
  readonly sort?: Sort | null;
  readonly onSort?: (sort: Sort) => void;
  /** Windowed in a scrolling box of this CSS height; without it all rows are rendered. */
  readonly height?: string;
  readonly onWindow?: (window: RowWindow) => void;
  /** Columns as wide as their text needs, for rows whose shape is not known beforehand. */
  readonly isAuto?: boolean;
  /** Leaves out lesser columns where there is no room for all. */
  readonly isFitted?: boolean;
  readonly testId?: string;
}

export function Table<Row>(given: TableProps<Row>) {
  const { caption, total, rowAt, height } = given;
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const columns = given.isFitted ? fitColumns(given.columns, width) : given.columns;
  const props = { ...given, columns };
  const widthOf = (column: Column<Row>) => (given.isFitted ? fittedWidth(column, columns, width) : column.width);
  const [view, setView] = useState<RowWindow>(() => rowWindow(total, ROW_HEIGHT, 0, 800));
  const measure = () => {
    if (!height || !box.current) return;
    const next = rowWindow(total, ROW_HEIGHT, box.current.scrollTop, box.current.clientHeight);
    setView((old) => (old.from === next.from && old.to === next.to && old.below === next.below ? old : next));
  };
  useEffect(measure, [total, height]);
  useEffect(() => {
    const observer = new ResizeObserver(() => {
      if (!box.current) return;
      setWidth(box.current.clientWidth);
      measure();
    });
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, [total, height]);
  const shown: RowWindow = height ? view : { from: 0, to: total, above: 0, below: 0 };
  useEffect(() => props.onWindow?.(shown), [shown.from, shown.to, total]);

  const indices = Array.from({ length: Math.max(0, Math.min(shown.to, total) - shown.from) }, (_, k) => shown.from + k);
  return (
    <div class="scroll" ref={box} style={height ? { height } : {}} onScroll={measure} data-testid={props.testId} {...(height && !props.hrefOf ? { role: "region", "aria-label": caption, tabIndex: 0 } : {})}>
      <table class={`table ${props.isAuto ? "auto" : ""} ${props.isFitted ? "fitted" : ""}`} aria-rowcount={total + 1} onKeyDown={(event) => moveFocus(event, props, box.current)}>
        <caption class="visually-hidden">{caption}</caption>
        <colgroup>{columns.map((column) => <col key={column.key} style={widthOf(column) ? { width: widthOf(column) } : {}} />)}</colgroup>
        <thead>
          <tr aria-rowindex={1}>{columns.map((column) => <Heading key={column.key} column={column} sort={props.sort ?? null} onSort={props.onSort} />)}</tr>
        </thead>
        <tbody>
          {shown.above > 0 && <Spacer height={shown.above} span={columns.length} />}
          {indices.map((index) => <TableRow key={index} index={index} isFirst={index === shown.from} row={rowAt(index)} {...props} />)}
          {shown.below > 0 && <Spacer height={shown.below} span={columns.length} />}
        </tbody>
      </table>
    </div>
  );
}

function Heading<Row>({ column, sort, onSort }: { column: Column<Row>; sort: Sort | null; onSort: ((sort: Sort) => void) | undefined }) {
  const isSorted = sort?.key === column.key;
  const direction = !isSorted ? "none" : sort.isDescending ? "descending" : "ascending";
  const canSort = onSort != null && column.isSortable !== false;
  const next = () => onSort?.({ key: column.key, isDescending: isSorted ? !sort.isDescending : column.isNumber === true });
  return (
    <th scope="col" class={column.isNumber ? "end" : undefined} title={column.about} {...(canSort ? { "aria-sort": direction } : {})}>
      {canSort ? (
        <button type="button" onClick={next}>
          {column.title}
          {isSorted && <span aria-hidden="true">{sort.isDescending ? "↓" : "↑"}</span>}
        </button>
      ) : column.hidesTitle ? <span class="visually-hidden">{column.title}</span> : column.title}
    </th>
  );
}

function TableRow<Row>({ index, isFirst, row, columns, hrefOf, open }: TableProps<Row> & { index: number; isFirst: boolean; row: Row | undefined }) {
  if (row === undefined) {
    return (
      <tr class="pending" aria-rowindex={index + 2}>
        {columns.map((column) => <td key={column.key}>…</td>)}
      </tr>
    );
  }
  const href = hrefOf?.(row);
  const onClick = (event: MouseEvent) => {
    const isOnControl = event.target instanceof Element && event.target.closest("a,button");
    const isSelecting = (window.getSelection()?.toString() ?? "") !== "";
    if (href && !isOnControl && !isSelecting) open?.(href);
  };
  return (
    <tr aria-rowindex={index + 2} data-index={index} tabIndex={href ? (isFirst ? 0 : -1) : undefined} style={href ? { cursor: "pointer" } : {}} onClick={onClick}>
      {columns.map((column) => {
        const text = column.value?.(row);
        return (
          <td key={column.key} class={column.isNumber ? "end" : undefined} title={typeof text === "string" ? text : undefined}>
            {column.cell(row)}
          </td>
        );
      })}
    </tr>
  );
}

function Spacer({ height, span }: { height: number; span: number }) {
  return (
    <tr class="spacer" aria-hidden="true">
      <td colSpan={span} style={{ height: `${height}px` }} />
    </tr>
  );
}

/** Arrow keys, j and k, Page, Home and End move the focused row; Enter opens it. Rows outside the window are scrolled in first. */
function moveFocus<Row>(event: KeyboardEvent, props: TableProps<Row>, box: HTMLDivElement | null): void {
  const focused = event.target instanceof HTMLElement && event.target.tagName === "TR" ? event.target : null;
  if (!focused || !box) return;
  const index = Number(focused.dataset["index"]);
  if (event.key === "Enter") {
    const row = props.rowAt(index);
    if (row !== undefined && props.hrefOf) props.open?.(props.hrefOf(row));
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 20, PageUp: -20, Home: -Infinity, End: Infinity };
  const step = steps[event.key];
  if (step == null) return;
  event.preventDefault();
  const target = Math.min(Math.max(index + step, 0), props.total - 1);
  if (props.height) {
    const top = target * ROW_HEIGHT;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + 3 * ROW_HEIGHT > box.scrollTop + box.clientHeight) box.scrollTop = top + 3 * ROW_HEIGHT - box.clientHeight;
  }
  const focusRow = (tries: number) => {
    const row = box.querySelector<HTMLElement>(`tr[data-index="${target}"]`);
    if (row) row.focus({ preventScroll: props.height != null });
    else if (tries > 0) requestAnimationFrame(() => focusRow(tries - 1));
  };
  requestAnimationFrame(() => focusRow(30));
}

/** Rows sorted here, for tables that come whole. */
export function sortRows<Row>(rows: readonly Row[], columns: readonly Column<Row>[], sort: Sort | null): Row[] {
  const value = columns.find((column) => column.key === sort?.key)?.value;
  if (!sort || !value) return [...rows];
  const sign = sort.isDescending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const x = value(a);
    const y = value(b);
    if (x == null || y == null) return x === y ? 0 : x == null ? 1 : -1; // Unknown is last either way.
    return (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true })) * sign;
  });
}

/** A disclosure arrow for rows that open in place. */
export function Chevron({ isOpen }: { isOpen: boolean }) {
  return <Icon name={isOpen ? "down" : "right"} size={14} />;
}
