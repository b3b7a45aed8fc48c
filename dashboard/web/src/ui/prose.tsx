//! Sentences from the server: code between backticks, the first letter large, a full stop at the end.

import { abridged, nameText } from "../base/format.ts";
import { Place } from "./small.tsx";

export function Prose({ text }: { text: string }) {
  const sentence = nameText(asSentence(text));
  const parts = sentence.split("`");
  // Odd parts lie between backticks; a backtick without its partner is only a character.
  const isPaired = parts.length % 2 === 1;
  if (!isPaired) return <>{sentence}</>;
  return <>{parts.map((part, k) => (k % 2 === 0 ? part : <Code key={k} text={part} />))}</>;
}

function Code({ text }: { text: string }) {
  return /:\d+$/.test(text) ? <Place text={text} /> : <code title={text.length > abridged(text).length ? text : undefined}>{abridged(text)}</code>;
}

function asSentence(text: string): string {
  const trimmed = text.trim();
  const head = /^[a-z]/.test(trimmed) ? trimmed[0]!.toUpperCase() + trimmed.slice(1) : trimmed;
  return /[.!?…]$/.test(head) || head === "" ? head : `${head}.`;
}
