//! What every canvas on the page needs: sharp pixels at any screen density, and the theme's colours.

export interface Surface {
  readonly context: CanvasRenderingContext2D;
  /** CSS pixels. */
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
}

/**
 * Sizes the bitmap to the element. Drawing is in CSS pixels afterwards; null while the element has no size. One that is opaque
 * has to be painted all over with each frame, and costs the browser less to put on the page.
 */
export function surface(canvas: HTMLCanvasElement, { isOpaque = false } = {}): Surface | null {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  const { clientWidth: width, clientHeight: height } = canvas;
  if (width === 0 || height === 0) return null;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const context = canvas.getContext("2d", { alpha: !isOpaque });
  if (!context) return null;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, width, height, ratio };
}

export interface Palette {
  readonly classes: readonly [string, string, string, string];
  /** The second tone of each, of which its texture is made. */
  readonly lines: readonly [string, string, string, string];
  readonly surface: string;
  readonly lane: string;
  readonly park: string;
  readonly unknown: string;
  readonly loss: string;
  readonly ink: string;
  readonly ink2: string;
  readonly ink3: string;
  readonly line: string;
  readonly accent: string;
  readonly accentSoft: string;
  readonly cursor: string;
  readonly selection: string;
  readonly bad: string;
  readonly onBad: string;
  readonly font: string;
}

/** Reads the style sheet's names; do it once per theme, not per frame. */
export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    classes: [color("class-0"), color("class-1"), color("class-2"), color("class-3")],
    lines: [color("class-0"), color("class-1-line"), color("class-2-line"), color("class-3-line")],
    surface: color("surface"), lane: color("lane"), park: color("park"), unknown: color("unknown"), loss: color("loss"),
    ink: color("ink"), ink2: color("ink-2"), ink3: color("ink-3"), line: color("line"), accent: color("accent"),
    accentSoft: color("accent-soft"), cursor: color("cursor"), selection: color("selection"), bad: color("bad"),
    onBad: color("surface"), font: color("font"),
  };
}

/** Above this the darker ink has the better contrast, as WCAG reckons it. */
const BRIGHT = 0.2;

/** Black or white, whichever reads better on a colour. */
export function inkOn(hex: string): string {
  const value = Number.parseInt(hex.slice(1), 16);
  const [red, green, blue] = [value >> 16, (value >> 8) & 0xff, value & 0xff].map((part) => (part <= 10 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4)) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > BRIGHT ? "#10141a" : "#ffffff";
}

/** So many kinds of stripes are kept for a canvas; a page has fewer. */
const MAX_STRIPES = 24;
const stripes = new WeakMap<CanvasRenderingContext2D, Map<string, CanvasPattern | null>>();

/** Diagonal stripes in one colour, see-through between them; made once for each canvas. */
export function hatch(context: CanvasRenderingContext2D, color: string, ratio: number, gap = 6): CanvasPattern | null {
  const key = `${color} ${ratio} ${gap}`;
  const known = stripes.get(context) ?? new Map<string, CanvasPattern | null>();
  stripes.set(context, known);
  const found = known.get(key);
  if (found) return found;
  if (known.size >= MAX_STRIPES) known.clear();
  const pattern = stripesOf(context, color, ratio, gap);
  known.set(key, pattern);
  return pattern;
}

function stripesOf(context: CanvasRenderingContext2D, color: string, ratio: number, gap: number): CanvasPattern | null {
  const tile = document.createElement("canvas");
  const size = Math.round(gap * ratio);
  tile.width = tile.height = size;
  const pen = tile.getContext("2d");
  if (!pen) return null;
  pen.strokeStyle = color;
  pen.lineWidth = ratio;
  pen.beginPath();
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift - 1, size + 1);
    pen.lineTo(shift + size + 1, -1);
  }
  pen.stroke();
  const pattern = context.createPattern(tile, "repeat");
  pattern?.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern;
}
