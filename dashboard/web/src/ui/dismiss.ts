//! Popups that go away.

import { useLayoutEffect, useRef } from "preact/hooks";

/** Closes a popup on Escape or a click elsewhere. */
export function useDismiss(isOpen: boolean, close: () => void) {
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (!isOpen) return;
    const onPointer = (event: PointerEvent) => !box.current?.contains(event.target as Node) && close();
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      close();
      // What had the focus inside is gone now.
      box.current?.querySelector<HTMLElement>("button[aria-expanded]")?.focus();
    };
    document.addEventListener("pointerdown", onPointer);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("pointerdown", onPointer);
      document.removeEventListener("keydown", onKey);
    };
  }, [isOpen]);
  return box;
}
