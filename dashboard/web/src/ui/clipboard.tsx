//! Copying and saving, with a word that it worked.

import { useState } from "preact/hooks";
import { Icon, type IconName } from "./icons.tsx";

/** True if it worked. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text); // Plain http on another host has no clipboard API.
  }
}

function copyBySelection(text: string): boolean {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
}

export function CopyButton({ text, label, icon = "copy", className = "button quiet", title }: { text: string | (() => string); label: string; icon?: IconName; className?: string; title?: string }) {
  const [said, setSaid] = useState<string | null>(null);
  const onClick = async () => {
    const isCopied = await copy(typeof text === "string" ? text : text());
    setSaid(isCopied ? "Copied" : "Not allowed");
    setTimeout(() => setSaid(null), 1500);
  };
  return (
    <button type="button" class={className} title={title} onClick={onClick}>
      <Icon name={said ? "check" : icon} size={14} />
      <span aria-live="polite">{said ?? label}</span>
    </button>
  );
}

/** A block of text to paste somewhere else. */
export function Snippet({ text, label }: { text: string; label: string }) {
  return (
    <pre class="code" aria-label={label}>
      <code>{text}</code>
      <CopyButton className="button copy" text={text} label="Copy" />
    </pre>
  );
}

export function saveFile(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
