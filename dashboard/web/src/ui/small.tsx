//! Small parts: tabs, places, instants, bars.

import type { ComponentChildren } from "preact";
import { abridged, clock, dateTime, percent, shortPlace, UNKNOWN } from "../base/format.ts";
import { instant, type InstantText, type Nanos } from "../base/instant.ts";
import type { Location } from "../api/types.ts";

export function Tabs<Key extends string>({ label, value, options, onChange }: { label: string; value: Key; options: readonly (readonly [Key, string])[]; onChange: (key: Key) => void }) {
  return (
    <div class="tabs" role="group" aria-label={label}>
      {options.map(([key, text]) => (
        <button key={key} type="button" aria-pressed={key === value} onClick={() => onChange(key)}>{text}</button>
      ))}
    </div>
  );
}

export function placeText(location: Location | null | undefined): string {
  return location ? `${location.file}:${location.line}` : UNKNOWN;
}

/** A source line, short to read and whole on hover. */
export function Place({ text }: { text: string | null | undefined }) {
  if (!text) return <span class="muted">unknown place</span>;
  return <span class="place" title={text}><bdi dir="ltr">{abridged(shortPlace(text))}</bdi></span>;
}

/** The whole place for a headline: the folders step back, the file and line do not. */
export function WholePlace({ text }: { text: string | null | undefined }) {
  if (!text) return <span class="muted">unknown place</span>;
  const short = shortPlace(text);
  // Of a library only the part from its name and version on says anything.
  if (!short.startsWith("…/")) return <b class="place big" title={text}>{abridged(short)}</b>;
  const tail = short.slice(2);
  return <b class="place big" title={text}><span class="muted">{abridged(text.slice(0, text.length - tail.length))}</span>{abridged(tail)}</b>;
}

/** Wall time; the date is in the tooltip. */
export function At({ at, resolution }: { at: InstantText | null | undefined; resolution?: Nanos }) {
  if (at == null) return <span class="muted">{UNKNOWN}</span>;
  const value = instant(at);
  return <time title={dateTime(value, 1000)}>{clock(value, resolution)}</time>;
}

export interface Part {
  readonly name: string;
  readonly value: number;
  readonly className: string;
  readonly text: string;
}

/** Shares of a whole, drawn and written: the colours repeat what the text says. */
export function SplitBar({ parts, label }: { parts: readonly Part[]; label: string }) {
  const sum = parts.reduce((total, part) => total + part.value, 0);
  return (
    <div class="stack tight">
      <div class="split-bar" role="img" aria-label={`${label}: ${parts.map((part) => `${part.name} ${part.text}`).join(", ")}`}>
        {parts.map((part) => part.value > 0 && <i key={part.name} class={part.className} style={{ flex: `${part.value / sum} 1 0` }} />)}
      </div>
      <div class="legend">
        {parts.map((part) => (
          <span key={part.name}>
            <i class={part.className} />
            {part.name} {part.text}{sum > 0 && <span class="muted"> · {percent(part.value / sum)}</span>}
          </span>
        ))}
      </div>
    </div>
  );
}

export function Card({ title, tools, children, className = "", testId, isFlush = false }: { title?: ComponentChildren; tools?: ComponentChildren; children: ComponentChildren; className?: string; testId?: string; isFlush?: boolean }) {
  return (
    <section class={`card ${className}`} data-testid={testId}>
      {title != null && (
        <header>
          <h2>{title}</h2>
          {tools}
        </header>
      )}
      {isFlush ? children : <div class="body">{children}</div>}
    </section>
  );
}

/** A trend of a few numbers from zero; the numbers beside it carry the meaning. */
export function Sparkline({ values, label, isGrowing = false, width = 96, height = 24 }: { values: readonly number[]; label: string; isGrowing?: boolean; width?: number; height?: number }) {
  const top = Math.max(1, ...values);
  const x = (k: number) => (values.length < 2 ? width : (k / (values.length - 1)) * width);
  const y = (value: number) => height - 2 - (value / top) * (height - 4);
  const line = values.map((value, k) => `${k === 0 ? "M" : "L"}${x(k).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  if (values.length === 0) return <span class="muted">{UNKNOWN}</span>;
  return (
    <svg class={`sparkline ${isGrowing ? "growing" : ""}`} width={width} height={height} role="img" aria-label={`${label}: ${values.join(", ")}`}>
      <path class="area" d={`${line}L${width} ${height}L0 ${height}Z`} />
      <path d={line} />
      <circle cx={x(values.length - 1)} cy={y(values.at(-1)!)} r="2.5" />
    </svg>
  );
}
