//! Light, dark, or what the system says. Remembered per browser.

import { effect, signal } from "@preact/signals";

export type Theme = "auto" | "light" | "dark";
const KEY = "loopd.theme";

export const theme = signal<Theme>(stored());
/** What `auto` means right now; canvases read their colours again when it changes. */
export const isDark = signal(false);

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "auto";
  } catch {
    return "auto"; // Storage is refused in some private windows.
  }
}

export function startTheme(): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const dark = theme.value === "dark" || (theme.value === "auto" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    isDark.value = dark;
  };
  effect(apply);
  system.addEventListener("change", apply);
}

export function cycleTheme(): void {
  setTheme(theme.value === "auto" ? "light" : theme.value === "light" ? "dark" : "auto");
}

export function setTheme(next: Theme): void {
  theme.value = next;
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {
    // See `stored`.
  }
}
