//! What every lane beside the workers is, whatever it shows.

import type { ComponentChildren } from "preact";
import type { Extent, View } from "../../model/geometry.ts";
import type { Palette, Surface } from "../../ui/canvas.ts";
import type { LossItem } from "../data.ts";
import type { LaneLoader, Loadable } from "./lane_loader.ts";

/** What is drawn around. */
export interface Frame {
  readonly view: View;
  /** How far the recording is known. */
  readonly recorded: Extent;
  /** Losses of what the lane shows. */
  readonly losses: readonly LossItem[];
  readonly palette: Palette;
}

export interface ExtraLane<Data extends Loadable = Loadable> {
  /** The same as long as it shows the same. */
  readonly key: string;
  /** Lanes of the same data may share it. */
  readonly loader: LaneLoader<Data>;
  /** The loop that it belongs to; null if to the process, or none. */
  readonly loop: string | null;
  /** CSS pixels. */
  height(data: Data | null): number;
  title(data: Data | null): ComponentChildren;
  /** The title as plain text. */
  name(data: Data | null): string;
  detail(data: Data | null, frame: Pick<Frame, "view" | "recorded">): ComponentChildren;
  draw(target: Surface, data: Data, frame: Frame): void;
  /** What is under the pointer; null if there is nothing to say. */
  tip(data: Data, frame: Frame, width: number, x: number, y: number): ComponentChildren | null;
  /** What a click there does; null if nothing. */
  click?(data: Data, frame: Frame, width: number, x: number): (() => void) | null;
  /** The picture in one sentence. */
  summary(data: Data | null, frame: Pick<Frame, "view" | "recorded">): string;
  /** The picture as a table. */
  table(data: Data, frame: Pick<Frame, "view" | "recorded">): ComponentChildren;
  /** Kinds of record whose loss makes a hole in it. */
  readonly lostKinds: readonly string[];
  remove(): void;
}
