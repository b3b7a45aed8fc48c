//! What is known of a box, beside the pointer.

import type { Node } from "../model/flame.ts";

/** A box in words: its name, and lines about it. */
export type Say = (node: Node) => readonly [string, ...string[]];

const WIDTH = 420;

export function FlameTip({ node, x, y, say }: { node: Node; x: number; y: number; say: Say }) {
  const [name, ...lines] = say(node);
  const left = Math.max(8, Math.min(x + 14, window.innerWidth - WIDTH - 8));
  const height = 40 + lines.length * 18;
  const top = y + 18 + height > window.innerHeight ? y - height - 8 : y + 18;
  return (
    <div class="tip flame-tip" style={{ left: `${left}px`, top: `${top}px` }} role="presentation" data-testid="flame-tip">
      <b class="place">{name}</b>
      {lines.map((line) => <span key={line}>{line}</span>)}
    </div>
  );
}
