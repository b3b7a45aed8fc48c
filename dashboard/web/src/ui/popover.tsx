//! A button with a panel below it that stays until one clicks elsewhere or presses Escape.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

export function Popover({ label, title, children, testId }: { label: ComponentChildren; title: string; children: ComponentChildren; testId?: string }) {
  const [isOpen, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => {
    if (!isOpen) return;
    const onDown = (event: PointerEvent) => !box.current?.contains(event.target as Node) && setOpen(false);
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      setOpen(false);
      button.current?.focus();
    };
    addEventListener("pointerdown", onDown);
    addEventListener("keydown", onKey, true);
    return () => {
      removeEventListener("pointerdown", onDown);
      removeEventListener("keydown", onKey, true);
    };
  }, [isOpen]);
  return (
    <div class="popover" ref={box} data-testid={testId}>
      <button ref={button} type="button" class="button" aria-expanded={isOpen} title={title} onClick={() => setOpen(!isOpen)}>{label}</button>
      {isOpen && <div class="popover-panel" role="group" aria-label={title}>{children}</div>}
    </div>
  );
}
